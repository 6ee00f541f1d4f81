"""Outputs that differ by less than bf16 or fp16 can resolve are not constant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from hpo.checks.measure.probes import LayerReader
from hpo.checks.measure.untouched import undisturbed
from hpo.checks.preflight import Snapshot

_CONSTANT = 0.99
_SHORT = (torch.bfloat16, torch.float16)


def in_full_precision(
    snapshot: Snapshot, model: nn.Module, forward: Callable[[nn.Module, Tensor], Tensor], images: Tensor
) -> Snapshot:
    """Return the snapshot with ``constant_outputs`` measured in fp32 on ``images`` (n, C, H, W).

    Measured only if a layer has constant outputs: one more forward pass.
    """
    if not any(layer.constant_outputs > _CONSTANT for layer in snapshot.layers):
        return snapshot
    reader = LayerReader(model)
    with (
        torch.no_grad(),
        undisturbed(model, batch_statistics=True),
        reader.listening(),
        _FullPrecision(images.device.type),
    ):
        forward(model, images)
    constant_outputs = {
        site.name: float(site.constant_outputs) for site in reader.sites if site.constant_outputs is not None
    }
    layers = tuple(
        replace(layer, constant_outputs=constant_outputs.get(layer.name, layer.constant_outputs))
        for layer in snapshot.layers
    )
    return replace(snapshot, layers=layers)


class _FullPrecision(TorchFunctionMode):
    """Runs every torch function in fp32, also within ``torch.autocast``."""

    def __init__(self, device_type: str) -> None:
        super().__init__()
        self._device_type = device_type

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        with torch.autocast(self._device_type, enabled=False):
            return func(*_wide(tuple(args)), **{name: _wide(each) for name, each in (kwargs or {}).items()})


def _wide(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.float() if value.dtype in _SHORT else value
    return type(value)(map(_wide, value)) if type(value) in (tuple, list) else value
