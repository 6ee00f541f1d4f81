"""Did the validation loss stop improving in the second half of the training?"""

from __future__ import annotations

from hpo.checks.base import note
from hpo.checks.observations import Observations
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy

_LEAST_EPOCHS = 6
_STILL = 0.01
"""Relative improvement of the best validation loss in the second half."""


def plateau(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report a second half that improved the best validation loss by less than 1 %."""
    curve = seen.known_curve
    if len(curve) < _LEAST_EPOCHS:
        return []
    half = len(curve) // 2
    before, after = (min(epoch.val_loss for epoch in part) for part in (curve[:half], curve[half:]))
    gain = (before - after) / before if before > 0 else 0.0
    if gain > _STILL:
        return []
    message = f"the best validation loss was {before:.3f} halfway and {after:.3f} at the end"
    cosine = " (schedule: cosine)" if seen.setup.would_change({"schedule": "cosine"}) else ""
    remedy = Remedy(f"lower lr during training{cosine}, or stop earlier")
    return [note("plateau", gain, _STILL, message, remedy, step=curve[-1].step)]
