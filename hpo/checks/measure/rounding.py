"""Outputs that differ by less than bf16 or fp16 resolves are not outputs that are all the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from hpo.checks.measure.probes import LayerReader, undisturbed
from hpo.checks.observations import Snapshot

_MUTE = 0.99
_SHORT = (torch.bfloat16, torch.float16)


def in_full_precision(
    snapshot: Snapshot, model: nn.Module, forward: Callable[[nn.Module, Tensor], Tensor], images: Tensor
) -> Snapshot:
    """The snapshot with ``mute`` of its layers as fp32 has it, on ``images`` (n, C, H, W).

    Measured only if a layer is silent: one more forward pass.
    """
    if not any(layer.mute > _MUTE for layer in snapshot.layers):
        return snapshot
    reader = LayerReader(model)
    with (
        torch.no_grad(),
        undisturbed(model, batch_statistics=True),
        reader.listening(),
        _FullPrecision(images.device.type),
    ):
        forward(model, images)
    mute = {site.name: float(site.mute) for site in reader.sites if site.mute is not None}
    layers = tuple(replace(layer, mute=mute.get(layer.name, layer.mute)) for layer in snapshot.layers)
    return replace(snapshot, layers=layers)


class _FullPrecision(TorchFunctionMode):
    """Every function of torch works in fp32, within ``torch.autocast`` too."""

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
