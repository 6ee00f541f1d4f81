"""Was it still improving when it ended?"""

from __future__ import annotations

from hpo.checks.observations import Observations
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy

_STILL = 0.01
"""Accuracy that the last epoch must have gained to say that more would follow."""
_LEAST_EPOCHS = 4


def unfinished(seen: Observations, limits: Thresholds) -> list[Finding]:
    """The last epoch is the best, by more than a hundredth."""
    curve = seen.known_curve
    if len(curve) < _LEAST_EPOCHS:
        return []
    gain = curve[-1].val_accuracy - max(epoch.val_accuracy for epoch in curve[:-1])
    if gain <= _STILL:
        return []
    message = f"the last epoch still gained {gain:.3f} validation accuracy: more epochs would help"
    return [Finding("unfinished", "note", gain, _STILL, message, Remedy("raise epochs"), step=curve[-1].step)]
