"""Did the loss become NaN or infinite, or does it stay above three times the first loss?

Source: CS231n lecture 6: "cost > 3 * original cost: stop, it has exploded". Networks with normalization
recover from such a loss, some of them fully (benchmarks/diagnosis.py): it must also have stopped falling.
"""

from __future__ import annotations

import math

import numpy as np

from hpo.checks.base import fatal, note, passed
from hpo.checks.derived import update_excess
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix, lower_lr
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy
from hpo.text import counted

WINDOW = 20
"""Steps whose mean is compared, so that one odd batch does not stop a sound training."""
_FALLING = 0.9
"""A loss below this share of its value one window ago is recovering."""
_SIGN = fix("fix_loss_sign", "look for a minus sign too few or too many: the loss is what is minimized")
_GUARDED = Remedy("look for log(0), a division by 0 or the root of 0 in the loss, e.g. add a small number")
_CLEAN = Remedy("remove or replace values that are not finite in the inputs")
_LARGE = 3.0
"""First updates of more than this many times the usual size are evidence of a high learning rate."""


def exploding_loss(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Judge the latest steps. The threshold is at least 3 ln C, in case the first batch was lucky."""
    losses = seen.losses
    if not len(losses):
        return []
    bad = np.flatnonzero(~np.isfinite(losses))
    if len(bad):
        return [_not_finite(seen, int(bad[0])) or _diverged(seen, limits, int(bad[0]))]
    limit = _limit(seen, limits)
    mean, before = float(losses[-WINDOW:].mean()), losses[-2 * WINDOW : -WINDOW]
    if mean <= limit:
        return []
    step = len(losses) - 1
    times = f"more than {limits.explosion_factor:g}x the first loss ({losses[0]:.3g})"
    if len(before) < WINDOW or before.mean() <= limit or mean < _FALLING * before.mean():
        return [
            _found(
                seen, limits, mean, step, f"the loss reached {mean:.3g} by step {step}, {times}", stop=False
            )
        ]
    message = f"the loss is {mean:.3g} at step {step}, {times}, and does not recover"
    return [_found(seen, limits, mean, step, message, stop=True)]


def diverging_loss(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Judge a loss in whatever unit: it became NaN or infinite."""
    bad = np.flatnonzero(~np.isfinite(seen.losses))
    if not len(bad):
        return []
    at = int(bad[0])
    found = _not_finite(seen, at)
    if found is not None:
        return [found]
    message = f"the loss became {seen.losses[at]} at step {at}"
    return [
        fatal(
            "exploding_loss",
            float(seen.losses[at]),
            math.inf,
            message,
            Remedy("lower lr, add warmup or clip gradients, and look for divisions by 0 and log(0)"),
            step=at,
            cause="lr_too_high",
            confidence=0.6,
        )
    ]


def _diverged(seen: Observations, limits: Thresholds, at: int) -> Finding:
    loss = float(seen.losses[at])
    return _found(seen, limits, loss, at, f"the loss became {loss} at step {at}", stop=True)


def _not_finite(seen: Observations, at: int) -> Finding | None:
    """Return the finding for a loss that no learning rate can have made infinite; None for others."""
    loss = float(seen.losses[at])
    if at == 0 and _has_bad_inputs(seen):
        message, remedy, cause = f"the first loss is {loss}, and so are inputs", _CLEAN, "input_scale"
    elif at == 0:
        message, remedy, cause = f"the first loss is {loss}, before any step", _GUARDED, "wrong_loss"
    elif loss == -math.inf:
        message, remedy, cause = f"the loss fell to -inf by step {at}", _SIGN, "wrong_loss"
    else:
        return None
    return fatal("exploding_loss", loss, math.inf, message, remedy, step=at, cause=cause, confidence=0.9)


def _has_bad_inputs(seen: Observations) -> bool:
    given = seen.inputs
    return given is not None and given.floats and not math.isfinite(given.low + given.high)


def stayed_finite(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Record the largest loss of a training that did not explode."""
    if not seen.steps or not np.isfinite(seen.losses).all():
        return []
    limit = _limit(seen, limits)
    message = f"the loss was finite for {counted(seen.steps, 'step')}, at most {seen.losses.max():.3g}"
    return [passed("exploding_loss", float(seen.losses.max()), limit, message, step=seen.steps)]


def _limit(seen: Observations, limits: Thresholds) -> float:
    """Return the threshold in nats; NaN if the first loss is."""
    return limits.explosion_factor * max(float(seen.losses[0]), math.log(seen.classes))


def _found(
    seen: Observations, limits: Thresholds, value: float, step: int, message: str, *, stop: bool
) -> Finding:
    lower, excess = lower_lr(seen), update_excess(seen)
    large = excess is not None and excess > _LARGE
    if large:
        message += f"; its first updates were {excess:.0f}x the usual size"
    return (fatal if stop else note)(
        "exploding_loss",
        value,
        _limit(seen, limits),
        message,
        Remedy(f"{lower.text}, or add warmup_epochs or gradient_clip", lower.change),
        step=step,
        cause="lr_too_high",
        confidence=0.85 if large else 0.6,
    )
