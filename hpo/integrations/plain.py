"""A plain loop with a babysitter: ``watch`` its loader, tell each ``loss``, ask for the ``verdict``."""

from __future__ import annotations

import atexit
import sys
import weakref
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar, Unpack

from torch import Tensor, nn
from torch.optim import Optimizer

from hpo.checks.babysitter import Babysitter
from hpo.checks.verdict import Verdict
from hpo.errors import UserError
from hpo.integrations.feed import Feed, Options

_Batch = TypeVar("_Batch")
_Loss = TypeVar("_Loss", bound=Tensor | float)


class Watched(Generic[_Batch]):
    """A loader that shows its batches to a babysitter; all else is the loader's own."""

    def __init__(self, loader: Iterable[_Batch], feed: Feed, *, is_validation: bool, stop: bool) -> None:
        self._loader = loader
        self.feed = feed
        self._is_validation = is_validation
        self._stop = stop

    @property
    def babysitter(self) -> Babysitter:
        """The babysitter, with its findings and everything it has seen."""
        return self.feed.babysitter

    def loss(self, loss: _Loss) -> _Loss:
        """Report a loss () of the current batch and return it; see ``hpo.loss``."""
        self.feed.loss(loss)
        return loss

    def verdict(self) -> Verdict:
        """End the training and return the verdict; see ``hpo.verdict``."""
        return self.feed.finish()

    def __iter__(self) -> Iterator[_Batch]:
        feed = self.feed
        if self._is_validation:
            feed.begin_validation()
            take = feed.validation_batch
        else:
            feed.begin_epoch()
            feed.expect(_length(self._loader))
            take = feed.batch
        _begin(feed)
        try:
            for batch in self._loader:
                if self._stop and feed.fatal is not None and not self._is_validation:
                    return
                take(batch)
                yield batch
                feed.end_batch()
        finally:
            feed.end_batch()
            _running.discard(feed)

    def __len__(self) -> int:
        return len(self._loader)  # type: ignore[arg-type] # raises TypeError as the loader's own

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_loader"], name)


_by_model: weakref.WeakValueDictionary[int, Feed] = weakref.WeakValueDictionary()
_running: set[Feed] = set()
_current: Feed | None = None


def watch(
    loader: Iterable[_Batch],
    model: nn.Module | None = None,
    optimizer: Optimizer | Sequence[Optimizer] | None = None,
    *,
    epochs: int | None = None,
    stop: bool = False,
    **options: Unpack[Options],
) -> Watched[_Batch]:
    """Return ``loader`` with a babysitter on the training of ``model`` by ``optimizer``.

    The same model again continues its training, so the call may stand in the loop over epochs; each pass is
    an epoch. A loader without a model is the validation of the training that runs. With ``stop`` the loader
    ends early if the training is hopeless. Other options are those of ``hpo.Babysitter``. Raises
    ``UserError`` for an impossible argument, and for a loader alone if no training is watched.
    """
    if not any(hasattr(loader, name) for name in ("__iter__", "__getitem__")):
        raise UserError(f"loader: {type(loader).__name__} cannot be iterated over.")
    if model is None:
        return Watched(loader, _watched("watch(loader)"), is_validation=True, stop=False)
    feed = _by_model.get(id(model))
    if feed is None or feed.model is not model or feed.is_finished:
        length = _length(loader)
        feed = Feed(model, optimizer, epochs=epochs, steps_per_epoch=length, **options)
        _by_model[id(model)] = feed
    return Watched(loader, feed, is_validation=False, stop=stop)


def loss(loss: _Loss) -> _Loss:
    """Report a loss () of the current batch and return it unchanged.

    Within ``torch.no_grad()`` it is a loss of the validation. Raises ``UserError`` if no loader is watched.
    """
    _watched("loss(...)").loss(loss)
    return loss


def verdict() -> Verdict:
    """End the training that was watched last, and return the verdict on it.

    A program that ends without asking gets it on standard error. Raises ``UserError`` if none was watched.
    """
    return _watched("verdict()").finish()


def _watched(call: str) -> Feed:
    if _current is None:
        raise UserError(
            f"hpo.{call}: no training is watched yet. Iterate over hpo.watch(loader, model, optimizer)."
        )
    return _current


def _begin(feed: Feed) -> None:
    """Make ``feed`` the one that ``loss`` and ``verdict`` mean; end an earlier one that is over."""
    global _current
    if _current is not None and _current is not feed and _current not in _running:
        _tell_unasked()
    if _current is None:
        atexit.register(_tell_unasked)
    _current = feed
    _running.add(feed)


def _tell_unasked() -> None:
    if _current is not None and not _current.is_finished:
        sys.stderr.write(f"hpo: {_current.finish()}\n")


def _length(loader: Iterable[Any]) -> int | None:
    """Return the number of batches, if the loader knows it."""
    try:
        return len(loader) or None  # type: ignore[arg-type]
    except TypeError:
        return None
