"""Are the classes mixed within a batch? With sorted images each step forgets the previous one."""

from __future__ import annotations

import statistics

from hpo.checks.base import note, warn
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding
from hpo.text import counted

_LEAST_BATCHES = 5
_USUAL_BATCH = 64
_MOST = 0.7
"""Share of a class in all of the first batches, above which the others are rare."""
_SORTED = 2
"""With this few classes among the first examples, these were sorted, rather than the rest missing."""


def batch_composition(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Count the classes in the first batches; known only where the loop passes their labels."""
    if len(seen.batch_classes) < _LEAST_BATCHES or seen.classes < 3:
        return []
    expected = _expected(seen)
    if 1 < seen.mixed_classes <= statistics.median(seen.batch_classes) + 1 < seen.classes:
        return [_few_in_all(seen)]
    typical, limit = statistics.median(seen.batch_classes), limits.batch_class_share * expected
    if typical > limit:
        return []
    return [
        warn(
            "batch_composition",
            float(typical),
            limit,
            f"half of the first {counted(len(seen.batch_classes), 'batch', 'batches')} have "
            f"{'a single class' if typical == 1 else 'at most ' + counted(typical, 'class')}; "
            f"shuffled batches would have {expected:.1f}",
            fix("shuffle_batches", "reshuffle the training examples in every epoch"),
            step=len(seen.batch_classes),
            cause="batch_composition",
            confidence=0.9,
        )
    ]


def _few_in_all(seen: Observations) -> Finding:
    """Batches that each have the classes of all batches so far are shuffled: other classes may come later."""
    message = f"the first {counted(len(seen.batch_classes), 'batch', 'batches')} have only "
    message += f"{seen.mixed_classes} of {counted(seen.classes, 'class')}: are others meant to come later?"
    remedy = fix("shuffle_batches", "reshuffle the training examples in every epoch")
    value = float(seen.mixed_classes)
    return note("batch_composition", value, float(seen.classes), message, remedy, cause="batch_composition")


def _is_mixed(seen: Observations) -> bool:
    """Whether most of the first batches have several classes: then all of them tell how frequent each is."""
    return statistics.median(seen.batch_classes) > 1 and max(seen.class_counts) > _MOST * sum(
        seen.class_counts
    )


def _expected(seen: Observations) -> float:
    """Return the expected number of classes in a shuffled batch; fewer than C if a few classes dominate."""
    counts = seen.preflight.labels.counts if seen.preflight else ()
    total, size = sum(counts), seen.batch_labels or int(seen.setup.settings.get("batch_size") or _USUAL_BATCH)
    if len(seen.class_counts) > 1 and _is_mixed(seen):
        counts, total = tuple(seen.class_counts), sum(seen.class_counts)
    if sum(count > 0 for count in counts) <= _SORTED:
        return seen.classes * (1 - (1 - 1 / seen.classes) ** size)
    return sum(1 - (1 - count / total) ** size for count in counts)
