"""The global state of PyTorch that user code may change; see ``process_state``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import torch
from torch.nn.modules import module as torch_modules
from torch.optim import optimizer as torch_optimizer

from hpo.training.process_state import Part


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
    # Not a literal: a process that flushes would compile it to 0.0, for all that read the compiled file.
    return not torch.tensor(sys.float_info.min, dtype=torch.float64, device="cpu").mul(0.5).item()


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


TORCH_PARTS: dict[str, Part] = {
    "default dtype": Part(torch.get_default_dtype, torch.set_default_dtype),
    "default device": Part(torch.get_default_device, _set_default_device),
    "threads": Part(torch.get_num_threads, torch.set_num_threads),
    "denormal numbers": Part(_flushes_denormals, torch.set_flush_denormal),
    "deterministic algorithms": Part(torch.get_deterministic_debug_mode, _set_deterministic),
    "precision of matrix products": Part(_matmul_precision, _set_matmul_precision),
    "backends": Part(_backends, _set_backends),  # after the precision, which sets some of them
    "gradients": Part(torch.is_grad_enabled, torch.set_grad_enabled),
    "anomaly detection": Part(_anomaly, lambda modes: torch.set_anomaly_enabled(*modes)),
    "autocast": Part(_autocast, _set_autocast),
    "global hooks": Part(_global_hooks, _set_global_hooks),
    "torch's generator": Part(torch.get_rng_state, torch.set_rng_state, torch.equal),
}
"""Later parts win where two set the same."""
