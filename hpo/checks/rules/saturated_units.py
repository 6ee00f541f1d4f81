"""Are sigmoids and tanhs at their flat ends, where no gradient passes?

Source: CS231n lecture 6, weight initialization: with large weights almost all neurons saturate at -1 or 1.
"""

from __future__ import annotations

import math

from hpo.checks.base import note
from hpo.checks.observations import Observations
from hpo.checks.remedies import better_start
from hpo.config.thresholds import Thresholds
from hpo.records import Finding


def saturated_units(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report the layer with the largest saturated share."""
    latest = seen.latest
    known = [layer for layer in latest.hidden if math.isfinite(layer.saturated)] if latest else []
    worst = max(known, key=lambda layer: layer.saturated, default=None)
    if latest is None or worst is None or worst.saturated < limits.saturated_share:
        return []
    return [
        note(
            "saturated_units",
            worst.saturated,
            limits.saturated_share,
            f"{worst.saturated:.0%} of the {worst.nonlinearity} activations are at the flat ends",
            better_start(seen),
            step=max(latest.step, 0),
            layer=worst.name,
            cause="saturated_units",
            confidence=0.6,
        )
    ]
