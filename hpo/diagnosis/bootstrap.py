"""The interval of a metric of predictions, by drawing the predicted images again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hpo.checks.class_metrics import OF_COUNTS, Counts
from hpo.records import ClassResult

_DRAWS = 1000
_TAILS = (2.5, 97.5)


def counts_of(classes: Sequence[ClassResult]) -> Counts:
    """Return the confusion matrix (C, C) of its rows."""
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    for each in classes:
        for label, count in each.predictions.items():
            counts[each.label, int(label)] = count
    return counts


def bootstrap_interval(metric: str, classes: Sequence[ClassResult]) -> tuple[float, float] | None:
    """Return the 95 % interval of a metric of these predictions, if each class's images were drawn at random.

    Percentiles over draws of each class's images with replacement (B. Efron, Annals of Statistics 7, 1979).
    None for a metric that does not follow from counts, and without predictions.
    """
    measure = OF_COUNTS.get(metric)
    if measure is None or not classes:
        return None
    counts, generator = counts_of(classes), np.random.default_rng(0)
    images = counts.sum(1)
    shares = counts / np.maximum(images, 1)[:, None]
    rows = zip(images, shares, strict=True)
    drawn = [
        generator.multinomial(count, each, size=_DRAWS) if count else _nothing(each) for count, each in rows
    ]
    values = [measure(each) for each in np.stack(drawn, axis=1)]
    low, high = np.percentile(values, _TAILS)
    return float(low), float(high)


def _nothing(row: NDArray[np.float64]) -> Counts:
    return np.zeros((_DRAWS, len(row)), dtype=np.int64)
