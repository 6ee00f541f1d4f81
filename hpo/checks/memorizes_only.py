"""It learns twenty examples by heart, and nothing from thousands: the labels do not belong to the images.

Source: Zhang et al. 2017, Understanding deep learning requires rethinking generalization: networks fit random
labels, but only by heart.
"""

from __future__ import annotations

import math

from hpo.checks.base import Finding
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.checks.update_ratio import median_ratio
from hpo.spec.thresholds import Thresholds

_MOVING = 1e-5
"""Update ratio below which nothing could have been learned anyway."""
_LEARNED = 0.03
"""Share of what is possible above chance that counts as learning from thousands."""


def memorizes_only(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Judged at the end, where the steps had a sound size."""
    learned = seen.preflight.memorization if seen.preflight else None
    curve = seen.known_curve
    if learned is None or learned.accuracy < 1.0 or not curve or not seen.snapshots:
        return []
    chance = 1 / seen.setup.classes
    best = max(max(epoch.train_accuracy, epoch.val_accuracy) for epoch in curve)
    share = (best - chance) / (1 - chance)
    ratio = median_ratio(seen.snapshots[-1])
    if share > _LEARNED or not math.isfinite(ratio) or ratio < _MOVING:
        return []
    message = (
        f"{learned.examples} examples were learned by heart in {learned.steps} steps, but {seen.steps} steps "
        f"on all images gave an accuracy of {best:.3f}"
    )
    return [
        Finding(
            "memorizes_only",
            "note",
            share,
            _LEARNED,
            message,
            fix("fix_labels", "look at images beside their labels: they may have been shuffled apart"),
            step=seen.steps,
            cause="labels_do_not_match",
            confidence=0.75,
        )
    ]
