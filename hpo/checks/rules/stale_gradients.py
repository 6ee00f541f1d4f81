"""Are gradients of the step before still there when backward begins? Then zero_grad was forgotten."""

from __future__ import annotations

import math

from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding


def stale_gradients(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Their size over that of the gradients of the step before, in every pass that was looked at."""
    known = [fed.stale_gradient for fed in seen.fed if math.isfinite(fed.stale_gradient)]
    if not known or min(known) <= limits.stale_gradient:
        return []
    return [
        Finding(
            "stale_gradients",
            "warn",
            min(known),
            limits.stale_gradient,
            "gradients of earlier steps are still there when backward begins: they pile up",
            fix("call_zero_grad", "call optimizer.zero_grad() before each backward"),
            step=1,
            cause="stale_gradients",
            confidence=0.95,
        )
    ]
