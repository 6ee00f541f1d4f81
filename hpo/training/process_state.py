"""The global state of a process that user code may change: kept as it is from one trial to the next.

A worker trains the trials of many studies, and networks of users call `torch.set_default_dtype`, replace
signal handlers or change the working folder. What their code sets holds until the end of their trial.
"""

from __future__ import annotations

import gc
import importlib
import locale
import logging
import operator
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np

from hpo.signals import StopRequestedError, StudyStoppedError

State: TypeAlias = Mapping[str, Any]
"""Values of parts by their names."""


@dataclass(frozen=True)
class Part:
    """A part of the state."""

    read: Callable[[], Any]
    """Returns a value that compares equal to another one if nothing has changed."""
    write: Callable[[Any], object]
    same: Callable[[Any, Any], bool] = operator.eq
    """Whether two values are the same."""


@contextmanager
def preserved(*parts: str) -> Iterator[None]:
    """Set these parts of the state, or all, back at the end of the block to what they were at its start."""
    before, signalled = read_state(parts or known_parts()), False
    if not parts:
        _open.append(before)
    try:
        yield
    except StopRequestedError as stop:
        signalled = not isinstance(stop, StudyStoppedError)
        raise
    finally:
        if not parts:
            _open.pop()
        # The first signal has given the next one its default effect.
        restore_state(
            {name: value for name, value in before.items() if not (signalled and name == "signals")}
        )


_open: list[dict[str, Any]] = []
"""The states at the start of each open block, the outermost first."""


def add_torch() -> None:
    """Add PyTorch's state to those of all open blocks; called right after its import."""
    from hpo.training.torch_state import TORCH_PARTS

    state = read_state(TORCH_PARTS)
    for before in _open:
        for name, value in state.items():
            before.setdefault(name, value)


def known_parts() -> dict[str, Part]:
    """Return all parts by name; those of PyTorch only once it is imported."""
    if "torch" in sys.modules:
        from hpo.training.torch_state import TORCH_PARTS

        _PARTS.update(TORCH_PARTS)
    return _PARTS


def read_state(parts: Iterable[str]) -> dict[str, Any]:
    """Return these parts of the state."""
    known = known_parts()
    return {name: known[name].read() for name in parts}


def restore_state(state: State) -> None:
    """Set the parts of ``state`` that differ from it now."""
    for name, value in state.items():
        part = known_parts()[name]
        if not part.same(part.read(), value):
            part.write(value)


def import_with_state(name: str) -> ModuleType:
    """Import a module; what its import changes holds again whenever it is asked for.

    Otherwise only the first trial of a worker would have what the module sets when it is imported. The state
    of generators is not kept: hpo seeds them.
    """
    if name in _left_by_import and name in sys.modules:
        for part, value in _left_by_import[name].items():
            now = _PARTS[part].read()
            _PARTS[part].write({**now, **value} if isinstance(value, dict) else value)
        return sys.modules[name]
    before = read_state(part for part in known_parts() if part not in _GENERATORS)
    _open.append(before)
    try:
        module = importlib.import_module(name)
    finally:
        _open.pop()
    for generator in _GENERATORS:
        before.pop(generator, None)
    now = read_state(before)
    changed = [part for part in before if not _PARTS[part].same(now[part], before[part])]
    _left_by_import[name] = {part: _change(now[part], before[part]) for part in changed}
    return module


_left_by_import: dict[str, State] = {}
"""By module, what its import changed."""


def _change(now: Any, before: Any) -> Any:
    if not isinstance(now, dict):
        return now
    return {key: value for key, value in now.items() if key not in before or value != before[key]}


def _numpy_generator() -> tuple[Any, ...]:
    name, keys, *rest = np.random.get_state(legacy=True)
    return name, tuple(keys), *rest


def _signals() -> dict[int, Any]:
    return {signum: signal.getsignal(signum) for signum in signal.valid_signals()}


def _set_signals(handlers: dict[int, Any]) -> None:
    if threading.current_thread() is not threading.main_thread():
        return  # nor could the user's code change them
    for signum, handler in handlers.items():
        if handler is not None and signal.getsignal(signum) is not handler:
            signal.signal(signum, handler)


def _alarm() -> bool:
    return signal.getitimer(signal.ITIMER_REAL)[0] > 0


def _cancel_alarm(_: bool) -> None:
    if _alarm():
        signal.setitimer(signal.ITIMER_REAL, 0)


def _folder() -> str | None:
    with suppress(OSError):  # it was deleted
        return str(Path.cwd())
    return None


def _set_folder(folder: str | None) -> None:
    if folder is not None:
        with suppress(OSError):
            os.chdir(folder)


def _set_environment(variables: dict[str, str]) -> None:
    for name in set(os.environ) - set(variables):
        del os.environ[name]
    os.environ.update(variables)


def _set_search_path(path: list[str]) -> None:
    sys.path[:] = path


def _warnings() -> tuple[list[Any], Any]:
    return list(warnings.filters), warnings.showwarning


def _set_warnings(state: tuple[list[Any], Any]) -> None:
    warnings.resetwarnings()  # forgets, too, which warnings the old filters let through
    warnings.filters[:] = state[0]  # type: ignore[index]
    warnings.showwarning = state[1]


def _loggers() -> dict[str, tuple[Any, ...]]:
    found = {"": logging.root, **logging.root.manager.loggerDict}
    return {
        name: (each.level, each.disabled, each.propagate, list(each.handlers), list(each.filters))
        for name, each in found.items()
        if isinstance(each, logging.Logger)
    }


def _set_loggers(state: dict[str, tuple[Any, ...]]) -> None:
    for name, (level, disabled, propagate, handlers, filters) in state.items():
        logger = logging.getLogger(name)
        if logger.level != level:
            logger.setLevel(level)
        logger.disabled, logger.propagate = disabled, propagate
        logger.handlers[:], logger.filters[:] = handlers, filters


def _streams() -> tuple[Any, ...]:
    return tuple((stream, bool(stream and stream.closed)) for stream in (sys.stdin, sys.stdout, sys.stderr))


def _set_streams(streams: tuple[Any, ...]) -> None:
    sys.stdin, sys.stdout, sys.stderr = (
        # Python leaves the descriptor open.
        open(place, "w", 1, "utf-8", "backslashreplace", closefd=False)  # noqa: SIM115
        if stream and stream.closed and not was_closed and place
        else stream
        for place, (stream, was_closed) in enumerate(streams)
    )


TENSOR_DEFAULTS = ("default dtype", "default device")
"""What tensors are made with that name neither; those of hpo are float32 on the CPU."""
_GENERATORS = ("torch's generator", "NumPy's generator", "Python's generator")

_PARTS: dict[str, Part] = {
    "NumPy's generator": Part(_numpy_generator, np.random.set_state),
    "Python's generator": Part(random.getstate, random.setstate),
    "NumPy's errors": Part(np.geterr, lambda errors: np.seterr(**errors)),
    "signals": Part(_signals, _set_signals),
    "alarm": Part(_alarm, _cancel_alarm),
    "working folder": Part(_folder, _set_folder),
    "environment": Part(lambda: dict(os.environ), _set_environment),
    "module search path": Part(lambda: list(sys.path), _set_search_path),
    "warning filters": Part(_warnings, _set_warnings),
    "loggers": Part(_loggers, _set_loggers),
    "disabled log levels": Part(lambda: logging.root.manager.disable, logging.disable),
    "standard streams": Part(_streams, _set_streams),
    "garbage collection": Part(gc.isenabled, lambda enabled: gc.enable() if enabled else gc.disable()),
    "recursion limit": Part(sys.getrecursionlimit, sys.setrecursionlimit),
    "locale": Part(lambda: locale.setlocale(locale.LC_ALL), partial(locale.setlocale, locale.LC_ALL)),
}
"""What is set back; a later part wins where two set the same."""
