"""Stop when the loss becomes NaN or infinite, or exceeds three times the first.

Source: CS231n lecture 6: "cost > 3 * original cost: stop, it has exploded".
"""

from __future__ import annotations

import math

import numpy as np

from hpo.checks.base import Finding
from hpo.checks.observations import Observations
from hpo.checks.remedies import lower_lr, update_excess
from hpo.spec.thresholds import Thresholds

WINDOW = 20
"""Steps whose mean is compared, so that one wild batch does not stop a sound training."""
_LARGE = 3.0
"""First updates of so many times their usual size speak for the learning rate."""


def exploding_loss(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Look at the latest steps. A lucky first batch does not make the threshold strict: it is at least 3 ln C."""
    losses = seen.losses
    if not len(losses):
        return []
    bad = np.flatnonzero(~np.isfinite(losses))
    if len(bad):
        at = int(bad[0])
        return [_fatal(seen, limits, float(losses[at]), at, f"the loss became {losses[at]} at step {at}")]
    mean = float(losses[-WINDOW:].mean())
    limit = _limit(seen, limits)
    if mean > limit:
        step = len(losses) - 1
        message = (
            f"the loss reached {mean:.3g} by step {step}, over {limits.explosion_factor:g} x the first "
            f"({losses[0]:.3g})"
        )
        return [_fatal(seen, limits, mean, step, message)]
    return []


def stayed_finite(seen: Observations, limits: Thresholds) -> list[Finding]:
    """What to record when training ended without an explosion."""
    if not seen.steps or exploding_loss(seen, limits):
        return []
    limit = _limit(seen, limits)
    message = f"stayed below {limit:.3g} for {seen.steps} steps"
    return [Finding("exploding_loss", "pass", float(seen.losses[0]), limit, message, step=seen.steps)]


def _limit(seen: Observations, limits: Thresholds) -> float:
    return limits.explosion_factor * max(float(seen.losses[0]), math.log(seen.setup.classes))


def _fatal(seen: Observations, limits: Thresholds, value: float, step: int, message: str) -> Finding:
    remedy = lower_lr(seen)
    excess = update_excess(seen)
    large = excess is not None and excess > _LARGE
    if large:
        message += f"; its first updates were {excess:.0f} x the usual size"
    return Finding(
        "exploding_loss",
        "fatal",
        value,
        _limit(seen, limits) if math.isfinite(seen.losses[0]) else math.nan,
        message,
        f"{remedy.text}, or add warmup_epochs or gradient_clip",
        step=step,
        cause="lr_too_high",
        confidence=0.85 if large else 0.6,
        change=remedy.change,
    )
