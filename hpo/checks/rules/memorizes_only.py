"""Does it memorize twenty examples but learn nothing from thousands? Then labels may not match images.

Slow progress looks alike, so labels are the first suspect only if a linear model, which needs no training by
this network, finds nothing in them either, where it does find something in validation.

Source: Zhang et al. 2017, Understanding deep learning requires rethinking generalization: networks fit random
labels, but only by memorizing.
"""

from __future__ import annotations

from hpo.checks.base import note
from hpo.checks.chance import Chance
from hpo.checks.derived import (
    chance_loss,
    constant_accuracy,
    loss_at_chance,
    share_above_chance,
    update_excess,
)
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding
from hpo.text import counted

_LEARNED = 0.03
"""Share of the range above chance that counts as learning from thousands."""
_SUSPECTED, _OPEN = 0.75, 0.25
"""Confidence with such evidence, and without: less than that of a symptom, so that it comes second."""
_HIGHEST = 1.25
"""Of the loss of guessing. A network that finds nothing to learn settles there; an unstable one is above."""


def memorizes_only(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Judge a training that is over or at chance, if its steps had a sound size.

    They had if the first updates were of usual size and the losses have not stayed far above chance.
    """
    memorized = seen.preflight.memorization if seen.preflight else None
    excess = update_excess(seen)
    if memorized is None or memorized.accuracy < 1.0 or excess is None:
        return []
    if not seen.ended and loss_at_chance(seen, limits) is None:
        return []
    share = max((share_above_chance(seen, epoch) for epoch in seen.known_curve), default=0.0)
    if share > _LEARNED or not 1 / limits.update_factor < excess < limits.update_factor:
        return []
    labels = _labels_hold(seen, limits)
    if labels:
        return []
    late = seen.losses[len(seen.losses) // 2 :]
    if late.size and late.mean() > _HIGHEST * chance_loss(seen):
        return []
    message = (
        f"{counted(memorized.examples, 'example was', 'examples were')} memorized in "
        f"{counted(memorized.steps, 'step')}, but {counted(seen.steps, 'step')} of "
        "a sound size on all examples taught nothing"
    )
    return [
        note(
            "memorizes_only",
            share,
            _LEARNED,
            message,
            fix("fix_labels", "inspect inputs with their labels: they may have been shuffled separately"),
            step=seen.steps,
            cause="labels_do_not_match",
            confidence=_OPEN if labels is None else _SUSPECTED,
        )
    ]


def _labels_hold(seen: Observations, limits: Thresholds) -> bool | None:
    """Return whether a linear model predicts the labels of training examples; None if it cannot tell."""
    signal = seen.preflight.signal if seen.preflight else None
    if signal is None:
        return None
    something = Chance(constant_accuracy(seen, "training"), signal.examples).limit(limits.chance_sigmas)
    if signal.train > something:
        return True
    return False if signal.val > something else None
