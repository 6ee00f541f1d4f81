"""``hpo.Trial``: what the user's own training is given, and how it reports, resumes and stops."""

from __future__ import annotations

import json
import math
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, overload

from hpo.errors import UserError
from hpo.files import atomic_file
from hpo.records import EpochResult, Finding
from hpo.trainer.connection import Connection, TrialEnded
from hpo.trainer.generators import seed_generators
from hpo.trainer.messages import Begin, Epoch, Found, Note
from hpo.trainer.saved import Kept, Progress, Saves

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from hpo.checks.babysitter import Babysitter
    from hpo.integrations.plain import Watched

_Item = TypeVar("_Item")
_KNOWN = ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr")
"""Metrics that the curve has columns for, and that the checks read."""

__all__ = ["Trial", "TrialEnded"]


class Trial:
    """One trial of a study whose training is the user's own: its parameters, and what it reports.

    ``trial["lr"]`` is the value of a parameter. A training that loops over ``epochs``, keeps its states with
    ``keep`` and reports each epoch resumes after a killed worker, bit for bit; without ``keep`` it starts
    again from the first epoch.

    ::

        def run(trial: hpo.Trial) -> None:
            model, optimizer = build(trial["width"]), ...
            trial.keep(model=model, optimizer=optimizer)
            for epoch in trial.epochs(30):
                ...
                trial.report(val_accuracy=accuracy, train_loss=loss)
    """

    def __init__(self, begin: Begin, connection: Connection, saves: Saves) -> None:
        self._begin = begin
        self._connection = connection
        self._saves = saves
        self._started = self._epoch_started = time.monotonic()
        self._watched: Watched[Any] | None = None
        self._in_epochs = False
        self._steps_before = 0
        self._explicit_first: bool | None = None

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The values of this trial by name, drawn and fixed; those that do not apply are not in it."""
        return MappingProxyType(self._begin.parameters)

    def __getitem__(self, name: str) -> Any:
        """Return the value of a parameter. Raises ``UserError`` if the trial has none of this name."""
        try:
            return self._begin.parameters[name]
        except KeyError:
            known = ", ".join(sorted(self._begin.parameters)) or "none"
            raise UserError(
                f"the trial has no parameter {name}; known: {known}. One with `when` is only there where it "
                "applies: use trial.parameters.get(name)"
            ) from None

    @property
    def number(self) -> int:
        """The trial's number in its study, from 0."""
        return self._begin.number

    @property
    def study(self) -> str:
        """The study's name."""
        return self._begin.study

    @property
    def stage(self) -> str:
        """The name of the stage; ``main`` in a study without stages."""
        return self._begin.stage

    @property
    def seed(self) -> int:
        """A seed in [0, 2**32) of this trial alone; trainings that confirm a configuration have others.

        Python's, NumPy's and PyTorch's global generators are seeded with it when the trial starts.
        """
        return self._saves.key.integer() % 2**32

    @property
    def device(self) -> str:
        """Where to train: ``cpu``, ``cuda:0``, ..."""
        return self._begin.device

    @property
    def budget(self) -> int | None:
        """The number of epochs: the stage's, else ``epochs`` of the study; None if neither is set."""
        return self._begin.budget

    @property
    def data_share(self) -> float:
        """The share of the training data that the stage uses, in (0, 1]."""
        return self._begin.data_share

    @property
    def fold(self) -> int | None:
        """The fold that is held out for validation, from 0; None without folds."""
        return self._begin.fold if self._begin.folds else None

    @property
    def folds(self) -> int:
        """The number of folds; 0 without."""
        return self._begin.folds

    @property
    def minutes_left(self) -> float | None:
        """Time left under the study's limit, over all attempts; None without a limit."""
        if self._begin.minutes is None:
            return None
        return max(0.0, self._begin.minutes - self._seconds() / 60)

    def epochs(self, count: int | None = None) -> Iterator[int]:
        """Yield the numbers of the epochs that are left, up to the budget, or to ``count`` without one.

        A resumed trial starts after its last saved epoch. At the start of each epoch Python's, NumPy's and
        PyTorch's global generators are seeded from the trial and the epoch's number. An epoch that was not
        reported is recorded without metrics. Raises ``UserError`` without a budget and ``count``.
        """
        last = self._begin.budget if self._begin.budget is not None else count
        if last is None:
            raise UserError("trial.epochs() needs a number: the study sets no epochs. Use trial.epochs(30).")
        self._in_epochs = True
        try:
            for epoch in range(self._saves.progress.epochs + 1, last + 1):
                self._start_epoch(epoch)
                yield epoch
                if self._saves.progress.epochs < epoch:
                    self.report()
        finally:
            self._in_epochs = False

    def _start_epoch(self, epoch: int) -> None:
        progress = self._saves.progress
        seed_generators((self._saves.key / "epoch" / epoch).integer())
        if progress.within == 0:
            self._steps_before = progress.steps
        else:
            self._steps_before = progress.steps - progress.within
        self._epoch_started = time.monotonic()
        self.check()

    def steps(self, iterable: Iterable[_Item], *, resumable: bool = False) -> Iterator[_Item]:
        """Yield the items of ``iterable``, such as the batches of a loader, within an epoch of ``epochs``.

        Between two items the trial shows that it makes progress, and stops if it has to. With ``resumable`` it
        is also saved there, once a minute and before it stops; resumed, it passes over the items that are
        done. Use that only if all that the loop changes is kept: a sum over the epoch belongs into a dict
        that was given to ``keep``.
        """
        items, saves = iter(iterable), self._saves
        if skipped := saves.progress.within:
            for _ in range(skipped):
                next(items, None)
            saves.restore_within()
        for item in items:
            yield item
            saves.progress.step()
            self._between_steps(resumable)

    def _between_steps(self, resumable: bool) -> None:
        fatal = any(each.severity == "fatal" for each in self._babysitter_findings())
        if fatal:
            self._connection.ask(self._found())
        stops = self._connection.must_leave()
        if resumable and self._in_epochs and self._saves.is_used and (stops or self._saves.is_due()):
            self._saves.save(self._babysitter(), self._seconds())
        self.check()

    def check(self) -> None:
        """Show that the trial makes progress. Raises ``TrialEnded`` if it must stop.

        ``epochs``, ``steps`` and ``report`` call it.
        """
        self._connection.beat()
        if self._connection.must_leave():
            raise TrialEnded("this worker stops")

    @overload
    def keep(self, state: Kept, /) -> Kept: ...
    @overload
    def keep(self, *states: Any, **named: Any) -> None: ...
    def keep(self, *states: Any, **named: Any) -> Any:
        """Save these objects with the trial, at each epoch, and restore them now if the trial is resumed.

        An object has ``state_dict`` and ``load_state_dict``, as models, optimizers, schedulers and gradient
        scalers do, or is a dict, whose content is kept. At the best epoch the states of all but optimizers,
        schedulers and scalers are kept for good, if the trial is one of the study's best. Call it after the
        objects are built and on their device. Returns the object if it is the only one. Raises ``UserError``
        for anything else, and for a name that is taken.
        """
        names = [self._saves.name_of(each, named) for each in states]
        for name, each in [*zip(names, states, strict=True), *named.items()]:
            self._saves.keep(name, each)
        return states[0] if len(states) == 1 and not named else None

    def save(self, **states: Any) -> None:
        """Save values with the trial, such as ``model=model.state_dict()``; ``restore`` returns them.

        For what ``keep`` cannot hold. An object with ``state_dict`` stands for its state. In each epoch call
        it before ``report``, whose epoch it belongs to, or after, but always in the same place.
        """
        if self._explicit_first is None:
            self._explicit_first = self._saves.progress.epochs == self._saves.progress.epochs_restored
        self._saves.put(states)
        done = self._saves.progress.epochs
        if not self._explicit_first and done > 0:
            self._saves.save(self._babysitter(), self._seconds())

    def restore(self) -> dict[str, Any]:
        """Return what ``save`` saved last, with tensors on the CPU; empty in a trial that starts."""
        return self._saves.restored_values()

    def report(self, epoch: int | None = None, **metrics: Any) -> None:
        """Report the metrics of an epoch: it is saved, recorded, and compared with other trials.

        ``train_loss``, ``train_accuracy``, ``val_loss``, ``val_accuracy`` (shares, losses in nats) and ``lr``
        are also what the checks read. Raises ``TrialEnded`` if the trial ends here, and ``UserError`` for an
        epoch out of order and for a metric that is not a number.
        """
        progress = self._saves.progress
        number = progress.epochs + 1
        if epoch is not None and epoch != number:
            raise UserError(f"report: epoch {epoch} does not follow epoch {progress.epochs}")
        result = self._result(number, {name: _number(name, value) for name, value in metrics.items()})
        babysitter = self._babysitter()
        if self._watched is not None:
            self._watched.feed.end_epoch()
        elif babysitter is not None:
            known = {name: getattr(result, name) for name in _KNOWN[:-1]}
            babysitter.epoch(**known)
        if progress.steps == self._steps_before:
            progress.steps += 1  # a training without steps: an epoch is one
        progress.end_epoch(result)
        self._saves.remember_best(result)
        if self._saves.is_used:
            self._saves.save(babysitter, self._seconds())
        self._steps_before = progress.steps
        self._epoch_started = time.monotonic()
        self._connection.ask(Epoch(result, progress.steps, self._found()))
        self.check()

    def _result(self, number: int, metrics: dict[str, float]) -> EpochResult:
        known = {name: metrics.get(name, math.nan) for name in _KNOWN}
        seconds = time.monotonic() - self._epoch_started
        return EpochResult(epoch=number, seconds=seconds, images=0, images_per_second=math.nan, **known)

    def babysit(
        self,
        model: nn.Module,
        optimizer: Optimizer | Sequence[Optimizer] | None = None,
        loader: Iterable[Any] | None = None,
        **arguments: Any,
    ) -> Any:
        """Watch the training of ``model``: findings are recorded with the trial, and a fatal one ends it.

        With a ``loader`` it returns the loader to iterate over, as ``hpo.watch`` does: report each loss to its
        ``loss``. Without, it returns an ``hpo.Babysitter``: call its ``before`` and ``step``; ``report`` calls
        its ``epoch``. Other arguments are theirs.
        """
        arguments = {"checks": self._saves.thresholds(), **arguments}
        if loader is None:
            from hpo.trainer.babysitting import TrialBabysitter

            return self._saves.watch(TrialBabysitter(model, optimizer, epochs=self.budget, **arguments))
        from hpo.trainer.babysitting import watched

        self._watched = watched(loader, model, optimizer, epochs=self.budget, **arguments)
        self._saves.watch(self._watched.babysitter)
        return self._watched

    def log(self, *texts: object, **values: Any) -> None:
        """Write a line to the trial's output, which `hpo logs` shows: texts, and values as JSON."""
        parts = [*map(str, texts), *([json.dumps(values, default=str)] if values else [])]
        sys.stdout.write(" ".join(parts) + "\n")

    def artifact(self, path: str | Path, name: str | None = None) -> Path:
        """Copy a file to the study's folder of artifacts, and return where it is; a note names it.

        ``name`` is the file's own by default. Raises ``UserError`` if there is no such file.
        """
        source = Path(path)
        if not source.is_file():
            raise UserError(f"artifact: {source} is not a file")
        target = Path(self._begin.artifacts) / Path(name or source.name).name
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(target) as file, source.open("rb") as content:
            shutil.copyfileobj(content, file)
        self._connection.send(Note(f"artifact {target.name}", f"kept the file {target}"))
        return target

    def __repr__(self) -> str:
        return f"<hpo.Trial {self.number} of {self.study}>"

    def _seconds(self) -> float:
        return self._saves.seconds_before + time.monotonic() - self._started

    def _babysitter(self) -> Babysitter | None:
        return self._saves.babysitter

    def _babysitter_findings(self) -> list[Finding]:
        babysitter = self._babysitter()
        return [] if babysitter is None else babysitter.findings

    def _found(self) -> Found:
        return self._saves.news()


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise UserError(f"report: {name} is not a number but {value!r}") from None
