"""Can the network learn twenty examples by heart, and did it look at the images to do so?

Source: CS231n lecture 6: take the first 20 examples, turn regularization off, and reach a training accuracy
of 1.0. What cannot do that will not learn 45,000. Karpathy, "A recipe for training neural networks": real
input must do better than zeroed input.
"""

from __future__ import annotations

import math

from hpo.checks.observations import Observations
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy

_FALLEN = 0.1
_DIFFERENCE = 0.01
"""Nats that zeroed images must cost a network that has learned from images."""


def overfit_small(seen: Observations, limits: Thresholds) -> list[Finding]:
    """A miss is a note, not a warning: a small lr that learns in epochs does not learn in 60 steps."""
    assert seen.preflight is not None
    learned = seen.preflight.memorization
    if learned is None:
        return []
    if learned.accuracy == 1.0:
        message = f"learned {learned.examples} examples by heart in {learned.steps} steps"
        return [Finding("overfit_small", "pass", 1.0, 1.0, message)]
    if not math.isfinite(learned.last_loss):
        message = (
            f"the loss became {learned.last_loss} after {learned.steps} steps on {learned.examples} examples"
        )
        return [Finding("overfit_small", "note", learned.accuracy, 1.0, message, Remedy("lower lr"))]
    message = (
        f"knew only {learned.accuracy:.0%} of {learned.examples} examples after {learned.steps} steps at the "
        "full learning rate"
    )
    remedy = Remedy("raise lr if the loss hardly moved, lower it if it jumped; or use batch_norm: before")
    return [Finding("overfit_small", "note", learned.accuracy, 1.0, message, remedy)]


def looks_at_input(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Compare the loss on the examples that were learned with that on zeroed images."""
    assert seen.preflight is not None
    learned = seen.preflight.memorization
    if learned is None or not math.isfinite(learned.last_loss + learned.blank_loss):
        return []
    if learned.accuracy < 1.0 and learned.first_loss - learned.last_loss < _FALLEN:
        return []  # what has learned nothing cannot say from what
    difference = learned.blank_loss - learned.last_loss
    if learned.accuracy == 1.0 or abs(difference) > _DIFFERENCE:
        message = f"zeroed images cost {difference:.3g} nats more than real ones"
        return [Finding("looks_at_input", "pass", difference, _DIFFERENCE, message)]
    message = f"zeroed images give the same loss as real ones ({learned.blank_loss:.3f})"
    return [
        Finding(
            "looks_at_input",
            "note",
            difference,
            _DIFFERENCE,
            message,
            Remedy("look at what reaches the first layer, and whether signals die on the way"),
            cause="ignores_input",
            confidence=0.5,
        )
    ]
