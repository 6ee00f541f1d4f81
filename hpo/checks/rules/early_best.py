"""Was the best epoch long before the end?"""

from __future__ import annotations

from hpo.checks.base import note
from hpo.checks.observations import Observations
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy

_EARLY = 0.5
_LEAST_EPOCHS = 4


def early_best(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report a best epoch in the first half of the training."""
    curve = seen.known_curve
    if len(curve) < _LEAST_EPOCHS:
        return []
    best = max(curve, key=lambda epoch: epoch.val_accuracy)
    share = best.epoch / curve[-1].epoch
    if share > _EARLY:
        return []
    message = f"epoch {best.epoch} of {curve[-1].epoch} was the best; later epochs did not help"
    remedy = Remedy("lower epochs or lr")
    return [note("early_best", share, _EARLY, message, remedy, step=curve[-1].step)]
