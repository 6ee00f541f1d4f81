"""Do labels depend on inputs or outputs at all? A test that needs no network and no training.

Source: Gretton et al. 2008, A kernel statistical test of independence (HSIC), with a null distribution from
permutations of the labels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

_PERMUTATIONS = 40
_FEWEST = 8
_WIDEST = 32
"""Columns of labels that are compared; more are mixed into this many."""


def dependence(features: Sequence[Tensor], labels: Sequence[Tensor]) -> float:
    """Return by how many standard deviations labels (n, k) depend on features (n, d).

    Given by blocks, of which each is compared within itself only. NaN with too few examples, or if features
    or labels do not vary.
    """
    generator = torch.Generator().manual_seed(0)
    found = mean = variance = 0.0
    for x, y in zip(features, labels, strict=True):
        if len(x) < _FEWEST:
            continue
        kernel, answers = _kernel(x), _varying(y)
        if kernel is None or answers is None:
            continue
        orders = torch.stack([torch.randperm(len(x), generator=generator) for _ in range(_PERMUTATIONS)])
        shuffled = answers[orders]
        values = (shuffled * (kernel @ shuffled)).sum((1, 2))
        found += float((answers * (kernel @ answers)).sum())
        mean += float(values.mean())
        variance += float(values.var())
    return (found - mean) / math.sqrt(variance) if variance > 0 else math.nan


def _kernel(features: Tensor) -> Tensor | None:
    """Return a centered Gaussian kernel (n, n), its width the median distance."""
    values = _standardized(features)
    if values is None:
        return None
    distances = torch.cdist(values, values).square()
    width = distances[distances > 0].median()
    kernel = torch.exp(-distances / width)
    return kernel - kernel.mean(0) - kernel.mean(1, keepdim=True) + kernel.mean()


def _varying(labels: Tensor) -> Tensor | None:
    values = _standardized(labels)
    if values is None or values.shape[1] <= _WIDEST:
        return values
    mixing = torch.randn(values.shape[1], _WIDEST, generator=torch.Generator().manual_seed(2))
    return values @ mixing / math.sqrt(values.shape[1])


def _standardized(values: Tensor) -> Tensor | None:
    """Center (n, d) and scale all columns that vary to a deviation of 1; None without one."""
    values = values.detach().float().cpu()
    std, mean = torch.std_mean(values, 0)
    varies = std > 1e-6 * mean.abs().clamp(min=1e-12)
    if not bool(varies.any()) or not bool(values.isfinite().all()):
        return None
    return (values[:, varies] - mean[varies]) / std[varies]
