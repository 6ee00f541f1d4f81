"""Are gradients of the previous step still there when backward begins? Then zero_grad was forgotten."""

from __future__ import annotations

import math

from hpo.checks.base import warn
from hpo.checks.facts import Fact, facts
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding

_SAME, _CLOSE = 0.99, 0.05


def stale_gradients(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Compare their size with the gradients of the previous step, in every observed pass."""
    known = [each.stale_gradient for each in seen.forwards if math.isfinite(each.stale_gradient)]
    if not known or min(known) <= limits.stale_gradient or _uses_fresh_ones(seen):
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


def _uses_fresh_ones(seen: Observations) -> bool:
    """Whether later steps used exactly what their own backward passes gave: several passes may be a step."""
    if Fact.CONFIGURATION in facts(seen):
        return False  # one pass is a step
    later = [audit for audit in seen.audits if audit.step > 0 and math.isfinite(audit.gradient_cosine)]
    return bool(later) and all(
        audit.gradient_cosine > _SAME and abs(audit.gradient_scale - 1) < _CLOSE for audit in later
    )
