"""Do the units of a layer differ? Units with equal weights get equal gradients, and stay one unit for ever.

Source: CS231n lecture 6, weight initialization: all zero (or constant) does not work.
"""

from __future__ import annotations

from hpo.checks.observations import Observations
from hpo.checks.remedies import better_start
from hpo.config.thresholds import Thresholds
from hpo.records import Finding


def symmetric_units(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Hidden layers of which all units start with the same weights."""
    assert seen.preflight is not None
    alike = seen.preflight.alike
    if not alike:
        return [Finding("symmetric_units", "pass", 0.0, 0.0, "the units of every layer start out different")]
    remedy = better_start(seen)
    message = f"all units start with the same weights in {', '.join(alike[:3])}"
    if len(alike) > 3:
        message += f" and {len(alike) - 3} more layers"
    return [
        Finding(
            "symmetric_units",
            "warn",
            float(len(alike)),
            0.0,
            message,
            remedy,
            layer=alike[0],
            cause="symmetric_units",
            confidence=0.95,
        )
    ]
