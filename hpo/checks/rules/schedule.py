"""Does the learning rate reach its peak, stay at or below it, and last long enough?"""

from __future__ import annotations

from hpo.checks.base import warn
from hpo.checks.derived import is_poor
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix, use
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy

_VANISHED = 1e-3
_MIDDLE = 0.6
_BEYOND = 3.0
"""Warm-ups and cycles rise to the peak that the optimizer was created with, and no further."""
_NOT_RISEN = 0.05
_TOO_EARLY = ((_VANISHED, _MIDDLE), (0.01, 0.4))
"""Shares of the peak, and of the training before which a rate stays below them: even an exponential schedule
that ends at 1e-5 of its peak takes longer."""
_FEWEST = 20
"""Steps of a training that is judged."""
_EARLY = 0.15
"""By this share of a training, any warm-up that ends within it has passed `_NOT_RISEN` of the peak."""


def schedule(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Compare the learning rate of each snapshot with its intended peak, and with the peak so far."""
    total = seen.setup.total_steps
    if total is None or seen.setup.lr <= 0:
        return []
    peak = 0.0
    for shot in seen.snapshots:
        peak = max(peak, shot.lr)
        where = f"by step {shot.step} of {total}"
        if _EARLY * total <= shot.step and peak < _NOT_RISEN * seen.setup.lr:
            message = f"lr has risen to no more than {shot.lr:.1e} of {seen.setup.lr:.3g} {where}"
            remedy = use(
                seen,
                "use a warm-up of at most one epoch",
                {"warmup_epochs": 0},
                "check what sets the learning rate",
            )
            return [_found(shot.step, shot.lr / seen.setup.lr, _NOT_RISEN, message, remedy)]
        if shot.lr > _BEYOND * seen.setup.lr:
            message = f"lr has grown to {shot.lr:.3g}, from {seen.setup.lr:.3g}, {where}"
            remedy = use(
                seen,
                "use a schedule that falls, such as cosine",
                {"schedule": "cosine"},
                "check what sets the learning rate",
            )
            return [_found(shot.step, shot.lr / seen.setup.lr, _BEYOND, message, remedy)]
        if shot.step < _MIDDLE * total and peak > 0 and shot.lr < _VANISHED * peak:
            message = f"lr has fallen from {peak:.3g} to {shot.lr:.1e} {where}"
            remedy = use(
                seen,
                "use schedule: cosine, which ends with the training",
                {"schedule": "cosine"},
                "check what sets the learning rate",
            )
            return [_found(shot.step, shot.lr / peak, _VANISHED, message, remedy)]
    return []


def schedule_at_end(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Judge a schedule that is not hpo's own by all its rates: cycles and restarts fall and rise again."""
    rates, total = seen.updates.rates, seen.optimizer_steps
    if len(rates) < 2 or total < _FEWEST:
        return []
    top = max(rates, key=lambda rate: rate.lr)
    course = f"from {rates[0].lr:.3g} to {rates[-1].lr:.3g}, at most {top.lr:.3g}"
    if top.lr < _NOT_RISEN * seen.setup.lr and is_poor(seen):
        message = f"lr never came near {seen.setup.lr:.3g} ({course})"
        return [
            _found(top.step, top.lr / seen.setup.lr, _NOT_RISEN, message, Remedy("use a shorter warm-up"))
        ]
    for share, latest in _TOO_EARLY:
        low = [rate for rate in rates if rate.step > top.step and rate.lr < share * top.lr]
        stays = bool(low) and len(low) == sum(rate.step >= low[0].step for rate in rates)
        if stays and low[0].step < latest * total:
            where = f"by step {low[0].step} of {total}"
            message = f"lr has fallen to {low[0].lr:.1e} {where} and stays there ({course})"
            text = "step the schedule where its length counts: after each epoch or after each batch"
            return [_found(low[0].step, low[0].lr / top.lr, share, message, fix("fix_schedule", text))]
    if top.lr > _BEYOND * seen.setup.lr > 0 and is_poor(seen):
        message = f"lr has grown beyond the {seen.setup.lr:.3g} of the optimizer ({course})"
        return [
            _found(
                top.step,
                top.lr / seen.setup.lr,
                _BEYOND,
                message,
                fix("fix_schedule", "use a schedule that falls"),
            )
        ]
    return []


def _found(step: int, value: float, threshold: float, message: str, remedy: Remedy) -> Finding:
    return warn("schedule", value, threshold, message, remedy, step=step, cause="schedule", confidence=0.9)
