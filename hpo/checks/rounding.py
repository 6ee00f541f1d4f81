"""Outputs that differ by less than bf16 or fp16 resolves are not outputs that are all the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from hpo.checks.moments import unit_extremes
from hpo.checks.observations import Snapshot
from hpo.checks.probes import undisturbed, weight_modules

_MUTE = 0.99
_SHORT = (torch.bfloat16, torch.float16)


def in_full_precision(
    snapshot: Snapshot, model: nn.Module, forward: Callable[[nn.Module, Tensor], Tensor], images: Tensor
) -> Snapshot:
    """The snapshot with ``mute`` of silent layers as fp32 has it, on ``images`` (n, C, H, W).

    Only layers whose outputs were all the same are computed again, each from what came into it.
    """
    silent = {layer.name for layer in snapshot.layers if layer.mute > _MUTE}
    if not silent:
        return snapshot
    mute: dict[str, float] = {}

    def listen(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], object], None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: object) -> None:
            if name not in mute and isinstance(output, Tensor) and output.dtype in _SHORT:
                mute[name] = _share_of_mute(module, *inputs)

        return hook

    handles = [
        module.register_forward_hook(listen(name))
        for name, module in weight_modules(model).items()
        if name in silent
    ]
    try:
        with torch.no_grad(), undisturbed(model, batch_statistics=True):
            forward(model, images)
    finally:
        for handle in handles:
            handle.remove()
    layers = tuple(replace(layer, mute=mute.get(layer.name, layer.mute)) for layer in snapshot.layers)
    return replace(snapshot, layers=layers)


def _share_of_mute(module: nn.Module, values: Tensor, *_: object) -> float:
    """Share of units whose outputs are the same for all of ``values`` (n, ...), computed in fp32."""
    weight = module.get_parameter("weight")
    with torch.autocast(values.device.type, enabled=False):
        output = type(module).forward(module, values.to(weight.dtype))
    if output.dim() < 2:
        return 1.0
    return float(torch.eq(*unit_extremes(output.float())).float().mean())
