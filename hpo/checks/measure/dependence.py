"""Do labels depend on inputs or outputs at all? A test that needs no network and no training.

Source: Gretton et al. 2008, A kernel statistical test of independence (HSIC). Its null distribution is that
of permuted labels, whose mean and variance are known exactly: Kazi-Aoual et al. 1995, Refined approximations
to permutation tests for multivariate inference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

_FEWEST = 8
_ROWS_OF_MEDIAN = 64
"""Examples whose distances to all others are sorted."""
_WIDEST = 32
"""Columns of labels that are compared; more are mixed into this many."""


def dependence(features: Sequence[Tensor], labels: Sequence[Tensor]) -> float:
    """Return by how many standard deviations labels (n, k) depend on features (n, d).

    Given by blocks, of which each is compared within itself only. NaN with too few examples, or if features
    or labels do not vary.
    """
    found = mean = variance = 0.0
    for x, y in _stacked(features, labels):
        kernel, answers = _kernel(_standardized(x)), _mixed(_standardized(y))
        value = (answers * (kernel @ answers)).sum((1, 2))
        expected, spread = _permuted(kernel, answers)
        found += float(value.sum())
        mean += float(expected.sum())
        variance += float(spread.sum())
    return (found - mean) / math.sqrt(variance) if variance > 0 else math.nan


def _stacked(features: Sequence[Tensor], labels: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Return blocks of the same shapes as pairs (b, n, d) and (b, n, k), without constant ones."""
    alike: dict[tuple[torch.Size, torch.Size], list[tuple[Tensor, Tensor]]] = {}
    for x, y in zip(features, labels, strict=True):
        if len(x) >= _FEWEST:
            alike.setdefault((x.shape, y.shape), []).append((x, y))
    found = []
    for pairs in alike.values():
        inputs, targets = (
            torch.stack([each[place].detach().float().cpu() for each in pairs]) for place in (0, 1)
        )
        telling = _varies(inputs) & _varies(targets)
        if bool(telling.any()):
            found.append((inputs[telling], targets[telling]))
    return found


def _varies(blocks: Tensor) -> Tensor:
    """Return which blocks (b, n, d) are finite and have a column that varies."""
    std, mean = torch.std_mean(blocks, 1)
    varies: Tensor = _is_varying(std, mean).any(1) & blocks.isfinite().all(2).all(1)
    return varies


def _is_varying(std: Tensor, mean: Tensor) -> Tensor:
    return std > 1e-6 * mean.abs().clamp(min=1e-12)


def _standardized(blocks: Tensor) -> Tensor:
    """Center (b, n, d) and scale all columns that vary to a deviation of 1; the others are 0."""
    std, mean = torch.std_mean(blocks, 1, keepdim=True)
    return torch.where(_is_varying(std, mean), (blocks - mean) / std, 0.0)


def _kernel(values: Tensor) -> Tensor:
    """Return centered Gaussian kernels (b, n, n), their widths the median distances."""
    distances = torch.cdist(values, values).square()
    some = distances[:, :: -(-distances.shape[1] // _ROWS_OF_MEDIAN)]
    width = torch.where(some > 0, some, math.nan).flatten(1).nanmedian(1).values
    kernel = torch.exp(-distances / width[:, None, None])
    rows = kernel.mean(1, keepdim=True)
    return kernel - rows - rows.transpose(1, 2) + kernel.mean((1, 2), keepdim=True)


def _mixed(labels: Tensor) -> Tensor:
    if labels.shape[2] <= _WIDEST:
        return labels
    mixing = torch.randn(labels.shape[2], _WIDEST, generator=torch.Generator().manual_seed(2))
    return labels @ mixing / math.sqrt(labels.shape[2])


def _permuted(kernel: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and variance (b,) of the traces of Y'KY over all orders of the rows of Y.

    Of centered kernels K (b, n, n) and labels Y (b, n, k).
    """
    n = kernel.shape[1]
    own, theirs = kernel.diagonal(dim1=1, dim2=2).double(), labels.double().square().sum(2)
    products = labels.double().transpose(1, 2) @ labels.double()
    first = _moments(own, kernel.double().square().sum((1, 2)))
    second = _moments(theirs, products.square().sum((1, 2)))
    mean = own.sum(1) * theirs.sum(1) / (n - 1)
    off = 2 * first[0] * second[0] / ((n - 1) ** 2 * (n + 1) * (n - 2))
    diagonal = first[1] * second[1] / ((n + 1) * n * (n - 1) * (n - 2) * (n - 3))
    return mean, (off + diagonal).clamp(min=0)


def _moments(diagonal: Tensor, squares: Tensor) -> tuple[Tensor, Tensor]:
    """Return what a matrix (n, n) contributes, by its diagonal (b, n) and the sum of its squares (b,)."""
    n, trace = diagonal.shape[1], diagonal.sum(1).square()
    off = (n - 1) * squares - trace
    return off, n * (n + 1) * diagonal.square().sum(1) - (n - 1) * (trace + 2 * squares)
