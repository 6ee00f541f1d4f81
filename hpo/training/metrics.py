"""What predictions are worth, on their device: the confusion matrix, and the area under the ROC curve."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_AT_ONCE = 2**22
"""Probabilities that are sorted together, so that many classes of many images fit in memory."""


def confusion_matrix(labels: Tensor, predicted: Tensor, classes: int) -> Tensor:
    """Return counts (C, C) int64 of labels (n,) by predictions (n,), without waiting for the device."""
    return torch.bincount(labels * classes + predicted, minlength=classes * classes).view(classes, classes)


def area_under_roc(probabilities: Tensor, labels: Tensor) -> float:
    """Return the area under the ROC curve; of more than two classes the mean of each against the rest.

    ``probabilities`` are (N, C). Equal ones count half, as in scikit-learn's ``roc_auc_score``. Classes
    without images, or with all of them, have none and do not count; NaN if no class has one, or if a
    probability is not a number.
    """
    images, classes = probabilities.shape
    first = 1 if classes == 2 else 0  # both classes have the same area
    chunk = max(1, _AT_ONCE // images)
    own = torch.arange(first, classes, device=labels.device)
    parts = zip(probabilities.T[first:].split(chunk), own.split(chunk), strict=True)
    ranks = torch.cat([_twice_ranks(scores, labels, of) for scores, of in parts])
    positives = torch.bincount(labels, minlength=classes)[first:]
    is_known = torch.isfinite(probabilities).all().long()
    *numbers, finite = torch.cat([ranks, positives, is_known[None]]).tolist()
    if not finite:
        return math.nan
    areas = [
        (twice - count * (count + 1)) / (2 * count * (images - count))
        for twice, count in zip(numbers[: len(own)], numbers[len(own) :], strict=True)
        if 0 < count < images
    ]
    return math.fsum(areas) / len(areas) if areas else math.nan


def _twice_ranks(scores: Tensor, labels: Tensor, own: Tensor) -> Tensor:
    """Return, for each row of the scores (c, N), twice the sum of the ranks of the images of its own class.

    Ranks are from 1, and equal scores have their mean; twice is a whole number.
    """
    ordered, order = scores.contiguous().sort(1)
    places = torch.arange(1, len(labels) + 1, device=labels.device)
    changes = ordered[:, 1:] != ordered[:, :-1]
    edge = torch.ones_like(changes[:, :1])
    first = torch.where(torch.cat([edge, changes], 1), places, 0).cummax(1).values
    last = torch.where(torch.cat([changes, edge], 1), places, len(labels)).flip(1).cummin(1).values.flip(1)
    return ((first + last) * (labels[order] == own[:, None])).sum(1)
