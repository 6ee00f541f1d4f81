"""How much does a step change the weights, relative to their size?

Source: CS231n lecture 6: the ratio of updates to weights should be around 1e-3.
"""

from __future__ import annotations

from hpo.checks.base import note
from hpo.checks.derived import median_ratio, update_excess
from hpo.checks.observations import Observations
from hpo.checks.remedies import lower_lr, raise_lr
from hpo.config.thresholds import Thresholds
from hpo.records import Finding


def update_ratio(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Compare the first step, which shows the learning rate best, with the optimizer's usual first step."""
    excess = update_excess(seen)
    if excess is None or 1 / limits.update_factor <= excess <= limits.update_factor:
        return []
    high = excess > 1
    ratio = median_ratio(seen.snapshots[0])
    return [
        note(
            "update_ratio",
            excess,
            limits.update_factor if high else 1 / limits.update_factor,
            f"the first step changed the weights by {ratio:.1e} of their size, {excess:.2g}x the usual",
            lower_lr(seen) if high else raise_lr(seen),
            cause="lr_too_high" if high else "lr_too_low",
            confidence=0.7,
        )
    ]
