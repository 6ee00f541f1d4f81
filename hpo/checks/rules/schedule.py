"""Does the learning rate reach its peak, stay at or below it, and last long enough?"""

from __future__ import annotations

from hpo.checks.base import warn
from hpo.checks.derived import is_poor
from hpo.checks.facts import Fact, facts
from hpo.checks.observations import Observations
from hpo.checks.preflight import Snapshot
from hpo.checks.remedies import use
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy

_VANISHED = 1e-3
_MIDDLE = 0.6
_BEYOND = 3.0
"""Warm-ups and cycles rise to the peak that the optimizer was created with, and no further."""
_NOT_RISEN = 0.05
_EARLY = 0.15
"""By this share of a training, any warm-up that ends within it has passed `_NOT_RISEN` of the peak."""


def schedule(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Compare the learning rate of each snapshot with its intended peak, and with the peak so far."""
    total = seen.setup.total_steps
    if total is None or seen.setup.lr <= 0:
        return []
    if Fact.CONFIGURATION not in facts(seen):
        return _at_the_end(seen, total)
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
            return [_found(shot, shot.lr / seen.setup.lr, _NOT_RISEN, message, remedy)]
        if shot.lr > _BEYOND * seen.setup.lr:
            message = f"lr has grown to {shot.lr:.3g}, from {seen.setup.lr:.3g}, {where}"
            remedy = use(
                seen,
                "use a schedule that falls, such as cosine",
                {"schedule": "cosine"},
                "check what sets the learning rate",
            )
            return [_found(shot, shot.lr / seen.setup.lr, _BEYOND, message, remedy)]
        if shot.step < _MIDDLE * total and peak > 0 and shot.lr < _VANISHED * peak:
            message = f"lr has fallen from {peak:.3g} to {shot.lr:.1e} {where}"
            remedy = use(
                seen,
                "use schedule: cosine, which ends with the training",
                {"schedule": "cosine"},
                "check what sets the learning rate",
            )
            return [_found(shot, shot.lr / peak, _VANISHED, message, remedy)]
    return []


def _at_the_end(seen: Observations, total: int) -> list[Finding]:
    """Judge a schedule that is not hpo's own: cycles and restarts fall and rise again."""
    shots = seen.snapshots
    if not seen.ended or not shots:
        return []
    top = max(shots, key=lambda shot: shot.lr)
    rates = f"from {shots[0].lr:.3g} to {shots[-1].lr:.3g}, at most {top.lr:.3g}"
    if shots[-1].step > _EARLY * total and top.lr < _NOT_RISEN * seen.setup.lr:
        message = f"lr never came near {seen.setup.lr:.3g} ({rates})"
        return [_found(top, top.lr / seen.setup.lr, _NOT_RISEN, message, Remedy("use a shorter warm-up"))]
    low = next((shot for shot in shots if shot.step > top.step and shot.lr < _VANISHED * top.lr), None)
    if low is not None and low.step < _MIDDLE * total:
        after = [shot for shot in shots if shot.step >= low.step]
        if all(shot.lr < _VANISHED * top.lr for shot in after):
            message = f"lr has fallen to {low.lr:.1e} by step {low.step} of {total} and stays there ({rates})"
            remedy = Remedy("step the schedule where its length counts: after each epoch or after each batch")
            return [_found(low, low.lr / top.lr, _VANISHED, message, remedy)]
    if top.lr > _BEYOND * seen.setup.lr and is_poor(seen):
        message = f"lr has grown beyond the {seen.setup.lr:.3g} of the optimizer ({rates})"
        return [_found(top, top.lr / seen.setup.lr, _BEYOND, message, Remedy("use a schedule that falls"))]
    return []


def _found(shot: Snapshot, value: float, threshold: float, message: str, remedy: Remedy) -> Finding:
    return warn(
        "schedule", value, threshold, message, remedy, step=shot.step, cause="schedule", confidence=0.9
    )
