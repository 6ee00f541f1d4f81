"""The babysitter's own work never breaks the loop that it watches.

Every hook and the inside of every public method run in a guard. An error there becomes one note, and the part
that failed is switched off for good.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch

from hpo.checks.base import note
from hpo.errors import HpoError
from hpo.heartbeat import is_from_listener
from hpo.records import Finding, Remedy

_Result = TypeVar("_Result")
_PACKAGE = Path(__file__).parents[1]
_LONGEST = 300


class Guard:
    """Runs parts of a babysitter's work; ``report`` takes the note about a part that failed.

    Without ``report`` errors are raised.
    Errors of hpo itself pass: they are control flow (a lost lease) or the user's mistakes. So does everything
    that is not an ``Exception``, such as ``KeyboardInterrupt`` and ``StopRequestedError``.
    """

    def __init__(self, report: Callable[[Finding], None] | None = None) -> None:
        self._report = report
        self._off: set[str] = set()

    def is_off(self, part: str) -> bool:
        """Whether the part has failed."""
        return part in self._off

    def switch_off(self, part: str) -> None:
        """Run nothing of this part any more."""
        self._off.add(part)

    def run(self, part: str, call: Callable[[], _Result], default: _Result, advice: str = "") -> _Result:
        """Return what ``call`` returns; ``default`` if it raises or the part is off.

        ``advice`` is what the user can do about an error.
        """
        if part in self._off:
            return default
        try:
            return call()
        except Exception as error:
            if self._report is None or isinstance(error, HpoError) or is_from_listener(error):
                raise
            self._off.add(part)
            self._report(_failure(part, error, advice))
            return default


class Hook:
    """A guarded hook on a model. Copies of the model and recordings of its graph do not have it."""

    def __init__(
        self, guard: Guard, part: str, call: Callable[..., None], skips: Callable[[], bool] | None = None
    ) -> None:
        """``skips`` is asked first, outside of the guard: it says at once that there is nothing to do."""
        self._guard = guard
        self._part = part
        self._call = call
        self._skips = skips

    def __call__(self, *arguments: Any) -> None:
        """Call the hook, unless PyTorch is compiling, tracing or capturing the forward pass."""
        if torch.compiler.is_compiling():
            return  # first of all: the compiler inlines this function
        if self._skips is not None and self._skips():
            return
        if not _is_recorded():
            self._guard.run(self._part, lambda: self._call(*arguments), None)

    def __deepcopy__(self, memo: dict[int, Any]) -> Callable[..., None]:
        return _no_hook

    def __reduce__(self) -> tuple[Callable[[], Callable[..., None]], tuple[()]]:
        return _make_no_hook, ()


def _is_recorded() -> bool:
    """Whether PyTorch traces the calls, or captures them in a CUDA graph."""
    if torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing():
        return True
    return torch._C._get_tracing_state() is not None


def _no_hook(*arguments: Any) -> None:
    """Do nothing."""


def _make_no_hook() -> Callable[..., None]:
    return _no_hook


def _failure(part: str, error: Exception, advice: str) -> Finding:
    text = " ".join(str(error).split())[:_LONGEST]
    message = (
        f"the babysitter's {part} failed and is switched off: "
        f"{type(error).__name__}: {text} ({_place(error)})"
    )
    remedy = Remedy(
        f"the training is not affected; {advice}to help mend it, report this message with the versions of "
        f"hpo (hpo --version) and of torch ({torch.__version__})"
    )
    return note("babysitter", 0.0, 0.0, message, remedy)


def _place(error: Exception) -> str:
    """Return file and line of the innermost frame inside hpo."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [each for each in frames if _PACKAGE in Path(each.filename).parents]
    last = (own or frames)[-1]
    return f"{Path(last.filename).name}, line {last.lineno}"
