"""Are the classes mixed within a batch? Sorted images make each step forget the one before."""

from __future__ import annotations

import statistics

from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding

_LEAST_BATCHES = 5
_USUAL_BATCH = 64
_SORTED = 2
"""So few classes among the first examples say that these were sorted, not that there are no others."""


def batch_composition(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Different classes in the first batches; known only where the loop gives their labels."""
    if len(seen.batch_classes) < _LEAST_BATCHES or seen.setup.classes < 3:
        return []
    expected = _expected(seen)
    typical, limit = statistics.median(seen.batch_classes), limits.batch_class_share * expected
    if typical > limit:
        return []
    return [
        Finding(
            "batch_composition",
            "warn",
            float(typical),
            limit,
            f"half of the first {len(seen.batch_classes)} batches have {typical:g} classes or fewer; "
            f"shuffled ones would have {expected:.1f}",
            fix("shuffle_batches", "shuffle the training images anew in each epoch"),
            step=len(seen.batch_classes),
            cause="batch_composition",
            confidence=0.9,
        )
    ]


def _expected(seen: Observations) -> float:
    """Different classes in a shuffled batch: all, or fewer where a few classes have nearly all examples."""
    counts = seen.preflight.labels.counts if seen.preflight else ()
    total, size = sum(counts), seen.batch_labels or int(seen.setup.settings.get("batch_size") or _USUAL_BATCH)
    if sum(count > 0 for count in counts) <= _SORTED:
        return seen.setup.classes * (1 - (1 - 1 / seen.setup.classes) ** size)
    return sum(1 - (1 - count / total) ** size for count in counts)
