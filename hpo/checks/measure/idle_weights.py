"""Weights that training cannot use: units that stay alike, and gradients that are exactly 0.

And frozen weights that were never trained: they are still distributed as PyTorch's layers draw them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from hpo.checks.measure.gradients import norms
from hpo.checks.measure.nested import is_readable

_MOST = 64
"""Weights whose gradients are followed: all of a small network, evenly spaced ones of a large one."""
_FEWEST_UNITS = 3
_ALIKE = 1e-6
_LEAST_ENTRIES = 256
_MOMENTS = ((1, 1 / 2), (2, 1 / 3), (4, 1 / 5))
"""Powers of |w| / max |w| and their means, if w is uniform around 0."""
_SIGMAS = 4.0
_UNTRAINED_SHARE, _UNTRAINED_ENTRIES = 0.9, 1024


class IdleWeights:
    """Follows the weights (dim >= 2) of the optimizers through the first steps, and compares their units."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        known = [(name, each) for name, each in weights.items() if each.dim() > 1]
        self._weights = dict(known[:: -(-len(known) // _MOST)] if known else [])
        self._looks: list[Tensor] = []

    def look(self) -> None:
        """Read which of them have a gradient other than 0; NaN without a gradient."""
        weights = self._weights.values()
        known = {
            place: each.grad
            for place, each in enumerate(weights)
            if each.grad is not None and is_readable(each.grad)
        }
        if known:
            found = norms(list(known.values()))
            row = torch.full((len(weights),), torch.nan)
            row = row.to(found[0].device)
            row[list(known)] = torch.stack([each.to(row.device, row.dtype) for each in found])
            self._looks.append(row)

    def state(self) -> list[Tensor]:
        """Return what ``load`` takes."""
        return self._looks

    def load(self, looks: list[Tensor]) -> None:
        """Take what another run of the same training has seen."""
        self._looks = list(looks)

    def without_gradient(self) -> tuple[str, ...]:
        """Return the weights whose gradient was exactly 0 in every look, if others had one."""
        if not self._looks:
            return ()
        looks = torch.stack([each.cpu() for each in self._looks])
        known, moves = ~looks.isnan(), (looks != 0) & ~looks.isnan()
        if not bool(moves.any()):
            return ()
        idle = known.any(0) & ~moves.any(0)
        return tuple(name for name, each in zip(self._weights, idle.tolist(), strict=True) if each)

    def alike(self) -> tuple[str, ...]:
        """Return the weights all of whose units are equal; those that never got a gradient excluded."""
        reached = set()
        for looks in self._looks:
            reached |= {
                name for name, each in zip(self._weights, (~looks.isnan()).tolist(), strict=True) if each
            }
        return tuple(name for name, each in self._weights.items() if name in reached and _is_alike(each))


@torch.no_grad()
def _is_alike(weight: Tensor) -> bool:
    if len(weight) < _FEWEST_UNITS or not is_readable(weight) or not weight.is_floating_point():
        return False
    units = weight.detach().flatten(1).float()
    return bool((units - units[0]).abs().max() <= _ALIKE * units.abs().max())


def untrained(frozen: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the frozen weights that are as PyTorch's layers draw them, if they are many or almost all.

    Those are uniform, and normal with deviation 1 in embeddings; training blurs either.
    """
    sizes = {
        name: each
        for name, each in frozen.items()
        if each.dim() > 1
        and each.is_floating_point()
        and is_readable(each)
        and each.numel() >= _LEAST_ENTRIES
    }
    drawn = {name: each for name, each in sizes.items() if _is_uniform(each) or _is_normal(each)}
    total = sum(each.numel() for each in sizes.values())
    entries = sum(each.numel() for each in drawn.values())
    is_much = entries >= min(_UNTRAINED_ENTRIES, _UNTRAINED_SHARE * total)
    return tuple(drawn) if is_much else ()


@torch.no_grad()
def _is_uniform(weight: Tensor) -> bool:
    sizes = weight.detach().float().flatten().abs()
    largest = sizes.max()
    if not largest > 0:
        return False
    shares = (sizes / largest).double()
    means = [float((shares**power).mean()) for power, _ in _MOMENTS]
    limits = [
        _SIGMAS * ((1 / (2 * power + 1) - mean**2) / shares.numel()) ** 0.5 + mean * power / shares.numel()
        for power, mean in _MOMENTS
    ]
    return all(
        abs(found - mean) <= limit for found, (_, mean), limit in zip(means, _MOMENTS, limits, strict=True)
    )


@torch.no_grad()
def _is_normal(weight: Tensor) -> bool:
    entries = weight.detach().double().flatten()
    count = entries.numel()
    return all(
        abs(float((entries**power).mean()) - mean) <= _SIGMAS * (variance / count) ** 0.5
        for power, mean, variance in ((1, 0, 1), (2, 1, 2), (4, 3, 96))
    )
