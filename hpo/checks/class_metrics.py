"""Metrics of predictions that follow from their counts by class, as scikit-learn defines them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
"""(C, C): images by class (rows) and by the class that they were predicted as."""


def accuracy(counts: Counts) -> float:
    """Return the share of images whose class was predicted."""
    return float(np.trace(counts)) / float(counts.sum())


def balanced_accuracy(counts: Counts) -> float:
    """Return the mean recall of the classes that have images."""
    images = counts.sum(1)
    known = images > 0
    return float((np.diag(counts)[known] / images[known]).mean())


def macro_f1(counts: Counts) -> float:
    """Return the mean F1 of the classes that have images or were predicted."""
    correct, either = np.diag(counts), counts.sum(0) + counts.sum(1)
    known = either > 0
    return float((2 * correct[known] / either[known]).mean())


OF_COUNTS = {
    "val_accuracy": accuracy,
    "val_balanced_accuracy": balanced_accuracy,
    "val_macro_f1": macro_f1,
}
"""The metrics that follow from counts, by their names in an epoch."""
