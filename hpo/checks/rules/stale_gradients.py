"""Are gradients of the previous step still there when backward begins? Then zero_grad was forgotten."""

from __future__ import annotations

import math

from hpo.checks.base import warn
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding


def stale_gradients(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Compare their size with the gradients of the previous step, in every observed pass."""
    known = [each.stale_gradient for each in seen.forwards if math.isfinite(each.stale_gradient)]
    if not known or min(known) <= limits.stale_gradient:
        return []
    return [
        warn(
            "stale_gradients",
            min(known),
            limits.stale_gradient,
            "gradients of earlier steps are still there when backward begins: they accumulate",
            fix("call_zero_grad", "call optimizer.zero_grad() before each backward"),
            step=1,
            cause="stale_gradients",
            confidence=0.95,
        )
    ]
