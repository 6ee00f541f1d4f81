"""Does the learning rate last? One that has vanished by the middle of the training wastes the other half."""

from __future__ import annotations

from hpo.checks.base import Finding, Remedy
from hpo.checks.observations import Observations
from hpo.spec.thresholds import Thresholds

_VANISHED = 1e-3
_MIDDLE = 0.6


def schedule(seen: Observations, limits: Thresholds) -> list[Finding]:
    """The learning rate of the looks before the middle, after its peak, over the peak."""
    total = seen.setup.total_steps
    if total is None or seen.setup.lr <= 0:
        return []
    peak = 0.0
    for shot in seen.snapshots:
        peak = max(peak, shot.lr)
        if shot.step < _MIDDLE * total and peak > 0 and shot.lr < _VANISHED * peak:
            message = f"lr has fallen from {peak:.3g} to {shot.lr:.1e} by step {shot.step} of {total}"
            remedy = Remedy("use schedule: cosine, which ends with the training", {"schedule": "cosine"})
            return [
                Finding(
                    "schedule",
                    "warn",
                    shot.lr / peak,
                    _VANISHED,
                    message,
                    remedy,
                    step=shot.step,
                    cause="schedule",
                    confidence=0.9,
                )
            ]
    return []
