"""Do the units of a layer differ? Units with equal weights get equal gradients and stay equal.

Source: CS231n lecture 6, weight initialization: all zero (or constant) does not work.
"""

from __future__ import annotations

from hpo.checks.base import passed, warn
from hpo.checks.observations import Observations
from hpo.checks.remedies import better_start, fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding
from hpo.text import counted, listed

_LEAST_STEPS = 20
_AT_RANDOM = fix("fix_init", "initialize the weights at random, as the layers of torch.nn do")


def identical_units(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report, at the end, weights whose units started equal and never became different."""
    names = seen.updates.identical
    if not names or seen.optimizer_steps < _LEAST_STEPS:
        return []
    message = f"all units started with the same weights, and still have the same, in {listed(names)}"
    remedy, layer = _AT_RANDOM, names[0]
    return [
        warn(
            "identical_units",
            float(len(names)),
            0.0,
            message,
            remedy,
            layer=layer,
            cause="symmetric_units",
            confidence=0.95,
        )
    ]


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
