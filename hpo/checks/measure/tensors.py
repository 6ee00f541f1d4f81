"""What is known of a tensor that a loop passes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hpo.checks.observations import TensorFacts


@torch.no_grad()
def tensor_facts(values: Tensor) -> TensorFacts:
    """Describe ``values`` (n, ...), in one transfer."""
    shape, floats = tuple(values.shape), values.is_floating_point()
    if not values.numel() or values.is_sparse or values.is_complex():
        return TensorFacts(shape, floats)
    numbers = values.detach().double() if values.dtype == torch.bool else values.detach()
    low, high = numbers.aminmax()
    variance = numbers.float().var(0, correction=0).mean() if floats else torch.full((), math.nan)
    ends = torch.stack([low.double(), high.double(), variance.double().to(low.device)]).tolist()
    return TensorFacts(shape, floats, *ends)
