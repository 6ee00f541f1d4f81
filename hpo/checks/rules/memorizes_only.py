"""It learns twenty examples by heart, and nothing from thousands: the labels do not belong to the images.

Source: Zhang et al. 2017, Understanding deep learning requires rethinking generalization: networks fit random
labels, but only by heart.
"""

from __future__ import annotations

import math

from hpo.checks.observations import Observations
from hpo.checks.remedies import fix, update_excess
from hpo.checks.rules.not_learning import not_learning
from hpo.config.thresholds import Thresholds
from hpo.records import Finding

_LEARNED = 0.03
"""Share of what is possible above chance that counts as learning from thousands."""
_HIGHEST = 1.25
"""Of ln C. A network that finds nothing to learn comes to ln C; one that is thrown about stays above."""


def memorizes_only(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Judged once the training is over or given up as ``not_learning``, if its steps had a sound size.

    That is so if its first updates had one and its losses have not stayed far above chance.
    """
    learned = seen.preflight.memorization if seen.preflight else None
    excess = update_excess(seen)
    if learned is None or learned.accuracy < 1.0 or excess is None:
        return []
    if not (seen.ended or not_learning(seen, limits)):
        return []
    chance = 1 / seen.setup.classes
    accuracies = [max(epoch.train_accuracy, epoch.val_accuracy) for epoch in seen.known_curve]
    share = (max(accuracies, default=chance) - chance) / (1 - chance)
    if share > _LEARNED or not 1 / limits.update_factor < excess < limits.update_factor:
        return []
    late = seen.losses[len(seen.losses) // 2 :]
    if late.size and late.mean() > _HIGHEST * math.log(seen.setup.classes):
        return []
    message = (
        f"{learned.examples} examples were learned by heart in {learned.steps} steps, and {seen.steps} steps "
        "of a sound size on all images taught nothing"
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
