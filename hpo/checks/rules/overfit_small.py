"""Can the network memorize twenty examples, and did it use the images to do so?

Source: CS231n lecture 6: take the first 20 examples, turn regularization off, and reach a training accuracy
of 1.0. A network that cannot will not learn 45,000. Karpathy, "A recipe for training neural networks": real
input must do better than zeroed input.
"""

from __future__ import annotations

import math

from hpo.checks.base import note, passed
from hpo.checks.observations import Observations
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy
from hpo.text import counted

_FALLEN = 0.1
_DIFFERENCE = 0.01
"""Nats that zeroed inputs must cost a network that has learned from images."""


def overfit_small(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report a miss as a note: a small lr that learns in epochs need not learn in 60 steps."""
    assert seen.preflight is not None
    memorized, seconds = seen.preflight.memorization, seen.preflight.gave_up_after
    if memorized is None:
        return [] if math.isnan(seconds) else [_given_up(seconds)]
    if memorized.accuracy == 1.0:
        message = f"memorized {counted(memorized.examples, 'example')} in {counted(memorized.steps, 'step')}"
        return [passed("overfit_small", 1.0, 1.0, message)]
    if not math.isfinite(memorized.last_loss):
        message = (
            f"the loss became {memorized.last_loss} after {counted(memorized.steps, 'step')} on "
            f"{counted(memorized.examples, 'example')}"
        )
        return [note("overfit_small", memorized.accuracy, 1.0, message, Remedy("lower lr"))]
    message = (
        f"memorized only {memorized.accuracy:.0%} of {counted(memorized.examples, 'example')} in "
        f"{counted(memorized.steps, 'step')} at the full learning rate"
    )
    settings = seen.setup.settings
    normalized = settings.get("batch_norm") in ("before", "after") or not seen.setup.has("batch_norm")
    norm = "" if normalized else "; or use batch_norm: before"
    remedy = Remedy(f"raise lr if the loss hardly changed, lower it if it jumped{norm}")
    return [note("overfit_small", memorized.accuracy, 1.0, message, remedy)]


def _given_up(seconds: float) -> Finding:
    message = f"not known whether it memorizes a few examples: given up after {seconds:g} s of processor time"
    remedy = Remedy("to know, train on one batch again and again: its loss must fall to 0")
    return note("overfit_small", seconds, seconds, message, remedy)


def looks_at_input(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Compare the loss on the memorized examples with that on zeroed inputs."""
    assert seen.preflight is not None
    memorized = seen.preflight.memorization
    if memorized is None or not math.isfinite(memorized.last_loss + memorized.blank_loss):
        return []
    if memorized.accuracy < 1.0 and memorized.first_loss - memorized.last_loss < _FALLEN:
        return []  # a network that has learned nothing has used nothing
    difference = memorized.blank_loss - memorized.last_loss
    if memorized.accuracy == 1.0 or abs(difference) > _DIFFERENCE:
        message = f"zeroed inputs cost {difference:.3g} nats more than real ones"
        return [passed("looks_at_input", difference, _DIFFERENCE, message)]
    message = f"zeroed inputs give the same loss as real ones ({memorized.blank_loss:.3f})"
    return [
        note(
            "looks_at_input",
            difference,
            _DIFFERENCE,
            message,
            Remedy("check what reaches the first layer and whether signals die on the way"),
            cause="ignores_input",
            confidence=0.5,
        )
    ]
