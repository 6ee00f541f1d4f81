"""Gradients of losses, and norms of gradients of any kind: dense, sparse, of different devices and types."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

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


def loss_gradients(loss: Tensor, parameters: list[nn.Parameter]) -> tuple[Tensor | None, ...]:
    """Return the gradient of ``loss`` () by each parameter; None without one or if the loss is detached."""
    if not loss.requires_grad:
        return (None,) * len(parameters)
    return torch.autograd.grad(loss, parameters, allow_unused=True) if parameters else ()
