"""Are the classes mixed within a batch? Sorted images make each step forget the one before."""

from __future__ import annotations

import statistics

from hpo.checks.base import Finding
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.spec.thresholds import Thresholds

_LEAST_BATCHES = 5


def batch_composition(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Different classes in the first batches; known only where the loop gives their labels."""
    classes = seen.setup.classes
    if len(seen.batch_classes) < _LEAST_BATCHES or classes < 3:
        return []
    typical, limit = statistics.median(seen.batch_classes), limits.batch_class_share * classes
    if typical > limit:
        return []
    return [
        Finding(
            "batch_composition",
            "warn",
            float(typical),
            limit,
            f"half of the first {len(seen.batch_classes)} batches have {typical:g} of {classes} classes "
            "or fewer",
            fix("shuffle_batches", "shuffle the training images anew in each epoch"),
            step=len(seen.batch_classes),
            cause="batch_composition",
            confidence=0.9,
        )
    ]
