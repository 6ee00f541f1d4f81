"""The structure of images, and how well a linear model predicts their labels, without any network."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from hpo.checks.preflight import LabelSignal

_SCALES = (1, 2, 4, 8)
_THUMB = 4
_FOLDS = 4
_RIDGE = 0.3
"""Penalty per example for features of variance 1: there are 48 features and few examples."""


def roughness(images: Tensor) -> tuple[float, ...]:
    """Return the roughness of images (n, C, H, W) at each scale with two cells; empty if none of them varies.

    The second-order structure function of image statistics: Ruderman & Bialek 1994, Statistics of natural
    images, find that in photographs it grows slowly with distance.
    """
    values = images.detach().float()
    values = values - values.mean((2, 3), keepdim=True)
    variance = values.square().mean()
    cells, numbers = values, []
    for scale in _SCALES:
        if min(values.shape[2:]) < 2 * scale:
            break
        cells = values if scale == 1 else F.avg_pool2d(cells, 2)
        across = cells.diff(dim=3).square().mean() + cells.diff(dim=2).square().mean()
        numbers.append(across / 4 / variance)
    rough = torch.stack(numbers).tolist() if numbers else []
    return tuple(rough) if all(map(math.isfinite, rough)) else ()


def linear_probe(train: Tensor, labels: Tensor, val: Tensor, val_labels: Tensor, classes: int) -> LabelSignal:
    """Predict labels (n,) by ridge regression on 4 x 4 thumbnails of images (n, C, H, W)."""
    thumbs, others = (
        F.adaptive_avg_pool2d(each.detach().float(), _THUMB).flatten(1) for each in (train, val)
    )
    numbers = torch.stack(
        [
            _cross_validated(thumbs, labels, classes),
            _cross_validated(others, val_labels, classes),
            _hits(thumbs, labels, others, val_labels, classes).mean(),
        ]
    )
    own, theirs, across = numbers.tolist()
    return LabelSignal(own, theirs, across, min(len(labels), len(val_labels)))


def _cross_validated(features: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return the share () of right predictions, each by a model that was fitted to the other folds."""
    part = torch.arange(len(labels), device=labels.device) % _FOLDS
    hits = [
        _hits(
            features[part != each],
            labels[part != each],
            features[part == each],
            labels[part == each],
            classes,
        )
        for each in range(_FOLDS)
    ]
    return torch.cat(hits).mean()


def _hits(features: Tensor, labels: Tensor, others: Tensor, other_labels: Tensor, classes: int) -> Tensor:
    """Return 1 for each of ``others`` (m, d) whose label is predicted, else 0."""
    std, mean = torch.std_mean(features, 0)
    fitted, tested = ((each - mean) / std.clamp(min=1e-12) for each in (features, others))
    targets = F.one_hot(labels, classes).float()
    targets = targets - targets.mean(0)
    penalty = _RIDGE * len(labels) * torch.eye(fitted.shape[1], device=fitted.device)
    weights: Tensor = torch.linalg.solve(fitted.T @ fitted + penalty, fitted.T @ targets)
    return ((tested @ weights).argmax(1) == other_labels).float()
