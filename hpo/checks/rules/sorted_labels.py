"""Do batches come in the order of their labels? For two classes and numbers; see ``batch_composition``."""

from __future__ import annotations

from hpo.checks.base import note, warn
from hpo.checks.derived import is_poor
from hpo.checks.facts import Fact, facts
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding

_WITHIN = 0.3
"""Of the labels' variance; in shuffled batches all of it."""
_SORTED = 0.9
"""Rank correlation of mean labels and steps."""
_OTHER_CLASSES = 2
"""More classes are judged by ``batch_composition``."""


def sorted_labels(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Compare the variance of labels within batches with that of all labels of the first epoch."""
    batches = seen.data.batches if seen.data else None
    if batches is None or not batches.within < _WITHIN or not seen.curve:
        return []
    if Fact.CLASSIFICATION in facts(seen) and seen.classes > _OTHER_CLASSES:
        return []
    message = (
        f"labels vary within a batch by {batches.within:.0%} of their variance: batches are not shuffled"
    )
    remedy = fix("shuffle_batches", "reshuffle the training examples in every epoch")
    make = warn if batches.trend > _SORTED or is_poor(seen) else note
    return [
        make(
            "sorted_labels",
            batches.within,
            _WITHIN,
            message,
            remedy,
            step=seen.steps,
            cause="batch_composition",
            confidence=0.85,
        )
    ]
