"""How much does a step change the weights, relative to their size?

Source: CS231n lecture 6: the ratio of updates to weights should be around 1e-3.
"""

from __future__ import annotations

from hpo.checks.base import note
from hpo.checks.derived import median_ratio, update_excess
from hpo.checks.facts import Fact, facts
from hpo.checks.observations import Observations
from hpo.checks.remedies import lower_lr, raise_lr
from hpo.config.thresholds import Thresholds
from hpo.records import Finding

_LARGE = 0.1
"""Share of the weights' size; networks of other kinds differ in what is usual."""


def update_ratio(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Compare the first step, which shows the learning rate best, with the optimizer's usual first step."""
    excess = update_excess(seen)
    if excess is None or 1 / limits.update_factor <= excess <= limits.update_factor:
        return []
    high = excess > 1
    ratio = _first_ratio(seen)
    if high and ratio < _LARGE and Fact.OWN_LOOP in facts(seen):
        return []
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


def _first_ratio(seen: Observations) -> float:
    """Return the first step's change over the weights' size, of the layers or else of a sample."""
    return median_ratio(seen.snapshots[0]) if seen.snapshots else seen.updates.motions[0].ratio
