"""Scores of a trained model: 1 is perfect, 0 about as good as guessing."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Share of right answers; classes in the last dimension."""
    return float((logits.argmax(-1) == labels).float().mean())


def explained(predicted: Tensor, truth: Tensor) -> float:
    """Coefficient of determination."""
    predicted, truth = predicted.detach().float().flatten(), truth.float().flatten()
    return 1 - float(((predicted - truth) ** 2).mean() / truth.var(unbiased=False))


def balanced_accuracy(predicted: Tensor, labels: Tensor) -> float:
    """Mean over the classes of the share of their examples that are named."""
    hits = predicted.flatten() == labels.flatten()
    return float(torch.stack([hits[labels.flatten() == c].float().mean() for c in labels.unique()]).mean())


def clipped(score: float) -> float:
    """A score in [-1, 1]; -1 where it is not a number."""
    return max(-1.0, min(1.0, score)) if math.isfinite(score) else -1.0
