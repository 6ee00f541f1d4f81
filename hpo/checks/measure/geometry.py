"""Do targets lie where their pictures do? Flipped or transposed masks match only when turned back."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor

from hpo.checks.measure.nested import is_readable

_MOST = 64
"""Examples that are compared."""
_FEWEST, _SMALLEST = 8, 4
TURNS = (
    *("as they are", "mirrored", "upside down", "turned by 180 degrees"),
    *("transposed", "turned to the left", "turned to the right", "transposed the other way"),
)


def agreements(inputs: Tensor, targets: Tensor) -> Tensor | None:
    """Return (8,) how targets (n, [1,] H, W) correlate with pictures (n, C, H, W) after each of ``TURNS``.

    Transposed ones are 0 if pictures are not square. None for other shapes. What all examples have in common
    does not count.
    """
    if targets.dim() == 4 and targets.shape[1] == 1:
        targets = targets[:, 0]
    if inputs.dim() != 4 or targets.dim() != 3 or not (is_readable(inputs) and is_readable(targets)):
        return None
    if inputs.shape[2:] != targets.shape[1:] or len(inputs) != len(targets):
        return None
    if len(inputs) < _FEWEST or min(inputs.shape[2:]) < _SMALLEST:
        return None
    pictures, maps = inputs[:_MOST].detach().float(), targets[:_MOST].detach()
    maps = maps.float() if maps.is_floating_point() else (maps != maps.flatten().mode().values).float()
    pictures, maps = pictures - pictures.mean(0), maps - maps.mean(0)
    size = pictures.square().sum((0, 2, 3)).sqrt() * maps.norm()
    found = []
    for turn in _turns(is_square=maps.shape[1] == maps.shape[2]):
        products = (pictures * turn(maps)[:, None]).sum((0, 2, 3))
        found.append((products.abs() / size.clamp(min=1e-30)).max())
    found += [torch.zeros_like(found[0])] * (len(TURNS) - len(found))
    return torch.stack(found)


def _turns(*, is_square: bool) -> list[Callable[[Tensor], Tensor]]:
    turns: list[Callable[[Tensor], Tensor]] = []
    for is_transposed, flips in product((False, True), ((), (2,), (1,), (1, 2))):
        if is_square or not is_transposed:
            turns.append(
                lambda maps, t=is_transposed, f=flips: (maps.transpose(1, 2) if t else maps).flip(f)  # type: ignore[misc]
            )
    return turns
