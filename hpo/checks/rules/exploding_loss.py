"""Stop when the loss becomes NaN or infinite, or stays above three times the first.

Source: CS231n lecture 6: "cost > 3 * original cost: stop, it has exploded". Networks with normalization come
back from such a loss, and some of them end well (benchmarks/diagnosis.py): it must also have stopped falling.
"""

from __future__ import annotations

import math

import numpy as np

from hpo.checks.observations import Observations
from hpo.checks.remedies import lower_lr, update_excess
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy

WINDOW = 20
"""Steps whose mean is compared, so that one wild batch does not stop a sound training."""
_FALLING = 0.9
"""A loss below so much of what it was a window ago is on its way back."""
_LARGE = 3.0
"""First updates of so many times their usual size speak for the learning rate."""


def exploding_loss(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Look at the latest steps. A lucky first batch does not count: the threshold is at least 3 ln C."""
    losses = seen.losses
    if not len(losses):
        return []
    bad = np.flatnonzero(~np.isfinite(losses))
    if len(bad):
        at = int(bad[0])
        return [
            _found(seen, limits, "fatal", float(losses[at]), at, f"the loss became {losses[at]} at step {at}")
        ]
    limit = _limit(seen, limits)
    mean, before = float(losses[-WINDOW:].mean()), losses[-2 * WINDOW : -WINDOW]
    if mean <= limit:
        return []
    step = len(losses) - 1
    times = f"over {limits.explosion_factor:g} x the first ({losses[0]:.3g})"
    if len(before) < WINDOW or before.mean() <= limit or mean < _FALLING * before.mean():
        return [
            _found(seen, limits, "note", mean, step, f"the loss reached {mean:.3g} by step {step}, {times}")
        ]
    message = f"the loss is {mean:.3g} at step {step}, {times}, and does not come back"
    return [_found(seen, limits, "fatal", mean, step, message)]


def stayed_finite(seen: Observations, limits: Thresholds) -> list[Finding]:
    """What to record when training ended without an explosion."""
    if not seen.steps or not np.isfinite(seen.losses).all():
        return []
    limit = _limit(seen, limits)
    message = f"the loss was finite for {seen.steps} steps, at most {seen.losses.max():.3g}"
    return [Finding("exploding_loss", "pass", float(seen.losses.max()), limit, message, step=seen.steps)]


def _limit(seen: Observations, limits: Thresholds) -> float:
    """In nats; NaN if the first loss was."""
    return limits.explosion_factor * max(float(seen.losses[0]), math.log(seen.setup.classes))


def _found(
    seen: Observations, limits: Thresholds, severity: str, value: float, step: int, message: str
) -> Finding:
    lower, excess = lower_lr(seen), update_excess(seen)
    large = excess is not None and excess > _LARGE
    if large:
        message += f"; its first updates were {excess:.0f} x the usual size"
    return Finding(
        "exploding_loss",
        "fatal" if severity == "fatal" else "note",
        value,
        _limit(seen, limits),
        message,
        Remedy(f"{lower.text}, or add warmup_epochs or gradient_clip", lower.change),
        step=step,
        cause="lr_too_high",
        confidence=0.85 if large else 0.6,
    )
