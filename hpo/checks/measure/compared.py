"""How two gradients or changes of weights compare, and a loss with cross-entropy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from hpo.checks.measure.examples import class_labels

_IDLE = 1e-3
"""An example whose gradient is below this share of the largest one is idle."""


def dot(one: list[Tensor], other: list[Tensor]) -> Tensor:
    products = [(a.float() * b.float()).sum() for a, b in zip(one, other, strict=True)]
    return torch.stack(products).sum()


def ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Divide; NaN where the denominator is 0."""
    return torch.where(denominator > 0, numerator / denominator, torch.full_like(numerator, torch.nan))


def cosine(one: list[Tensor], other: list[Tensor]) -> Tensor:
    return ratio(dot(one, other), (dot(one, one) * dot(other, other)).sqrt())


def against_cross_entropy(
    outputs: Sequence[Tensor], gradients: Mapping[int, Tensor], labels: Tensor, classes: int
) -> dict[str, Tensor]:
    """Compare the loss's gradient by the logits, centered over classes, with (softmax - one-hot) / B.

    The logits (B, C) are the first output that fits the labels (B,) or (B, 1).
    """
    given_labels = class_labels(labels)
    if given_labels is None or not len(given_labels):
        return {}
    for place, gradient in sorted(gradients.items()):
        logits = outputs[place].float()
        if logits.dim() == 2 and len(logits) == len(given_labels) and classes in (0, logits.shape[1]):
            return _compared(logits, gradient.float(), given_labels.to(logits.device))
    return {}


def _compared(logits: Tensor, gradient: Tensor, labels: Tensor) -> dict[str, Tensor]:
    classes = logits.shape[1]
    inside = labels.clamp(0, classes - 1)
    usual = (logits.softmax(1) - F.one_hot(inside, classes)) / len(labels)
    given = gradient - gradient.mean(1, keepdim=True)
    sizes = given.norm(dim=1)
    active = sizes > _IDLE * sizes.max()
    losses = F.cross_entropy(logits, inside, reduction="none")
    return {
        "cross_entropy": losses.mean(),
        "cosine": cosine([given], [usual]),
        "scale": ratio((given * usual).sum(), usual.square().sum()),
        "idle": 1 - active.float().mean(),
        "lead": ratio((losses * active).sum(), active.sum().float()) - losses.mean(),
    }
