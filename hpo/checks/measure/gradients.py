"""Norms of gradients of any kind: dense, sparse, of different devices and types."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hpo.checks.measure.nested import is_readable, values_of


@torch.no_grad()
def norms(given: Sequence[Tensor]) -> list[Tensor]:
    """Return the norm () of each tensor."""
    if not given:
        return []
    return list(torch._foreach_norm([each if is_readable(each) else values_of(each) for each in given]))


@torch.no_grad()
def norm(given: Sequence[Tensor]) -> Tensor:
    """Return the norm () of all tensors together; 0 of none."""
    if not given:
        return torch.zeros(())
    found = norms(given)
    total: Tensor = torch.stack([each.to(found[0].device) for each in found]).norm()
    return total
