"""The global state of a process that user code may change: kept as it is from one trial to the next.

A worker trains the trials of many studies, and networks of users call `torch.set_default_dtype`, replace
signal handlers or change the working folder. What their code sets holds until the end of their trial.
"""

from __future__ import annotations

import gc
import importlib
import locale
import logging
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
import torch
from torch.nn.modules import module as torch_modules
from torch.optim import optimizer as torch_optimizer

from hpo.signals import StopRequestedError, StudyStoppedError

State: TypeAlias = Mapping[str, Any]
"""Values of parts by their names."""


@dataclass(frozen=True)
class _Part:
    read: Callable[[], Any]
    """Returns a value that compares equal to another one if nothing has changed."""
    write: Callable[[Any], object]


@contextmanager
def preserved(*parts: str) -> Iterator[None]:
    """Set these parts of the state, or all, back at the end of the block to what they were at its start."""
    before, signalled = read_state(parts or _PARTS), False
    try:
        yield
    except StopRequestedError as stop:
        signalled = not isinstance(stop, StudyStoppedError)
        raise
    finally:
        # The first signal has given the next one its default effect.
        restore_state(
            {name: value for name, value in before.items() if not (signalled and name == "signals")}
        )


def read_state(parts: Iterable[str]) -> State:
    """Return these parts of the state."""
    return {name: _PARTS[name].read() for name in parts}


def restore_state(state: State) -> None:
    """Set the parts of ``state`` that differ from it now."""
    for name, value in state.items():
        part = _PARTS[name]
        if not _same(part.read(), value):
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
    before = read_state(part for part in _PARTS if part not in _GENERATORS)
    module = importlib.import_module(name)
    now = read_state(before)
    changed = [part for part in before if not _same(now[part], before[part])]
    _left_by_import[name] = {part: _change(now[part], before[part]) for part in changed}
    return module


_left_by_import: dict[str, State] = {}
"""By module, what its import changed."""


def _change(now: Any, before: Any) -> Any:
    if not isinstance(now, dict):
        return now
    return {key: value for key, value in now.items() if key not in before or value != before[key]}


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    return bool(one == other)


def _set_default_device(device: torch.device) -> None:
    torch.set_default_device(None)
    if torch.get_default_device() != device:
        torch.set_default_device(device)


def _set_deterministic(mode: int) -> None:
    torch.set_deterministic_debug_mode(mode)
    # As `torch.use_deterministic_algorithms` sets, which loads it: seconds.
    if compiler := sys.modules.get("torch._inductor.config"):
        compiler.deterministic = bool(mode)  # type: ignore[attr-defined]


def _flushes_denormals() -> bool:
    return not torch.tensor(1e-310, dtype=torch.float64, device="cpu").mul(1.0).item()


_FLAGS: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (torch.backends.cudnn, ("enabled", "benchmark", "benchmark_limit", "deterministic")),
    (torch.backends.mkldnn, ("enabled", "deterministic")),
    (torch.backends.opt_einsum, ("enabled", "strategy")),
    *(
        (each, ("fp32_precision",))
        for backend in (torch.backends.cudnn, torch.backends.mkldnn, torch.backends.cuda)
        for operation in ("matmul", "conv", "rnn")
        if (each := getattr(backend, operation, None)) is not None
    ),
)


def _backends() -> dict[tuple[int, str], Any]:
    """Return the switches of the libraries that compute, by their place in ``_FLAGS`` and name."""
    return {
        (place, name): getattr(owner, name, None)
        for place, (owner, names) in enumerate(_FLAGS)
        for name in names
    }


def _set_backends(state: dict[tuple[int, str], Any]) -> None:
    for (place, name), value in state.items():
        if getattr(_FLAGS[place][0], name, None) != value:
            setattr(_FLAGS[place][0], name, value)


def _matmul_precision() -> str:
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:  # set for one backend alone: the parts of the backends have it
        return ""


def _set_matmul_precision(precision: str) -> None:
    if precision:
        torch.set_float32_matmul_precision(precision)


def _autocast() -> tuple[Any, ...]:
    kinds = [(torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)) for kind in ("cpu", "cuda")]
    return (*kinds, torch.is_autocast_cache_enabled())


def _set_autocast(state: tuple[Any, ...]) -> None:
    for kind, (enabled, dtype) in zip(("cpu", "cuda"), state, strict=False):
        torch.set_autocast_enabled(kind, enabled)
        torch.set_autocast_dtype(kind, dtype)
    torch.set_autocast_cache_enabled(state[-1])


def _anomaly() -> tuple[bool, bool]:
    return torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()


def _global_hooks() -> dict[str, dict[Any, Any]]:
    """Return hooks that every module or optimizer of the process calls."""
    return {name: dict(hooks) for name, hooks in _hook_dictionaries()}


def _hook_dictionaries() -> Iterator[tuple[str, dict[Any, Any]]]:
    for module in (torch_modules, torch_optimizer):
        for name, value in vars(module).items():
            if name.startswith("_global_") and isinstance(value, dict):
                yield f"{module.__name__}.{name}", value


def _set_global_hooks(hooks: dict[str, dict[Any, Any]]) -> None:
    for name, value in _hook_dictionaries():
        value.clear()
        value.update(hooks.get(name, {}))


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

_PARTS: dict[str, _Part] = {
    "default dtype": _Part(torch.get_default_dtype, torch.set_default_dtype),
    "default device": _Part(torch.get_default_device, _set_default_device),
    "threads": _Part(torch.get_num_threads, torch.set_num_threads),
    "denormal numbers": _Part(_flushes_denormals, torch.set_flush_denormal),
    "deterministic algorithms": _Part(torch.get_deterministic_debug_mode, _set_deterministic),
    "precision of matrix products": _Part(_matmul_precision, _set_matmul_precision),
    "backends": _Part(_backends, _set_backends),  # after the precision, which sets some of them
    "gradients": _Part(torch.is_grad_enabled, torch.set_grad_enabled),
    "anomaly detection": _Part(_anomaly, lambda modes: torch.set_anomaly_enabled(*modes)),
    "autocast": _Part(_autocast, _set_autocast),
    "global hooks": _Part(_global_hooks, _set_global_hooks),
    "torch's generator": _Part(torch.get_rng_state, torch.set_rng_state),
    "NumPy's generator": _Part(_numpy_generator, np.random.set_state),
    "Python's generator": _Part(random.getstate, random.setstate),
    "NumPy's errors": _Part(np.geterr, lambda errors: np.seterr(**errors)),
    "signals": _Part(_signals, _set_signals),
    "alarm": _Part(_alarm, _cancel_alarm),
    "working folder": _Part(_folder, _set_folder),
    "environment": _Part(lambda: dict(os.environ), _set_environment),
    "module search path": _Part(lambda: list(sys.path), _set_search_path),
    "warning filters": _Part(_warnings, _set_warnings),
    "loggers": _Part(_loggers, _set_loggers),
    "disabled log levels": _Part(lambda: logging.root.manager.disable, logging.disable),
    "standard streams": _Part(_streams, _set_streams),
    "garbage collection": _Part(gc.isenabled, lambda enabled: gc.enable() if enabled else gc.disable()),
    "recursion limit": _Part(sys.getrecursionlimit, sys.setrecursionlimit),
    "locale": _Part(lambda: locale.setlocale(locale.LC_ALL), partial(locale.setlocale, locale.LC_ALL)),
}
"""What is set back; a later part wins where two set the same."""
