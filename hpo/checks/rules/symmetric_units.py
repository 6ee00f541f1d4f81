"""Do the units of a layer differ? Units with equal weights get equal gradients and stay equal.

Source: CS231n lecture 6, weight initialization: all zero (or constant) does not work.
"""

from __future__ import annotations

from hpo.checks.base import passed, warn
from hpo.checks.observations import Observations
from hpo.checks.remedies import better_start
from hpo.config.thresholds import Thresholds
from hpo.records import Finding
from hpo.text import counted


def symmetric_units(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report hidden layers whose units all start with the same weights."""
    assert seen.preflight is not None
    identical = seen.preflight.identical_units
    if not identical:
        return [passed("symmetric_units", 0.0, 0.0, "the units of every layer start out different")]
    remedy = better_start(seen)
    message = f"all units start with the same weights in {', '.join(identical[:3])}"
    if len(identical) > 3:
        message += f" and {counted(len(identical) - 3, 'more layer')}"
    return [
        warn(
            "symmetric_units",
            float(len(identical)),
            0.0,
            message,
            remedy,
            layer=identical[0],
            cause="symmetric_units",
            confidence=0.95,
        )
    ]
