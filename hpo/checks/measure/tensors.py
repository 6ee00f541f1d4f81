"""What is known of a tensor that a loop passes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hpo.checks.measure.examples import Examples
from hpo.checks.measure.nested import tensors
from hpo.checks.observations import Observations, TensorFacts


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


def describe_examples(train: Examples, seen: Observations) -> None:
    """Move what is known of the inputs and labels given to ``before`` to ``seen``."""
    if train.images is not None:
        seen.inputs = tensor_facts(train.images)
    labels = next((each for each in tensors(train.labels) if each.dim()), None)
    if labels is not None:
        seen.labels = tensor_facts(labels)
