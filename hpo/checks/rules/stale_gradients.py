"""Are gradients of the previous step still there when backward begins? Then zero_grad was forgotten."""

from __future__ import annotations

import math

from hpo.checks.base import warn
from hpo.checks.facts import Fact, facts
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding

_EQUAL, _DIFFERENT = 0.9999, 0.97
"""Cosines of gradients: the same; not the same. Gradients of consecutive steps may be alike."""
_LEAST = 2
"""Steps that tell them apart."""
_SAME, _CLOSE = 0.99, 0.05


def stale_gradients(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Compare their size with the gradients of the previous step, in every observed pass."""
    if _are_carried(seen):
        return [_found(1.0, limits, "gradients of the step before are still in those that a step uses")]
    known = [each.stale_gradient for each in seen.forwards if math.isfinite(each.stale_gradient)]
    if not known or min(known) <= limits.stale_gradient or _uses_fresh_ones(seen):
        return []
    message = "gradients of earlier steps are still there when backward begins: they accumulate"
    return [_found(min(known), limits, message)]


def _are_carried(seen: Observations) -> bool:
    """Whether the gradients of every step are the sum of its own and those before, and not its own."""
    telling = [(both, new) for both, new in seen.carried if new < _DIFFERENT]
    is_sum = all(both > _EQUAL for both, _ in telling)
    return len(telling) >= _LEAST and is_sum and 2 * len(telling) >= len(seen.carried)


def _found(value: float, limits: Thresholds, message: str) -> Finding:
    return warn(
        "stale_gradients",
        value,
        limits.stale_gradient,
        message,
        fix("call_zero_grad", "call optimizer.zero_grad() before each backward"),
        step=1,
        cause="stale_gradients",
        confidence=0.95,
    )


def _uses_fresh_ones(seen: Observations) -> bool:
    """Whether later steps used exactly what their own backward passes gave: several passes may be a step."""
    if Fact.CONFIGURATION in facts(seen):
        return False  # one pass is a step
    if any(both < _EQUAL for both, _ in seen.carried) and all(new > _EQUAL for _, new in seen.carried):
        return True  # a backward pass over several parts of a model reaches one after the other
    later = [audit for audit in seen.audits if audit.step > 0 and math.isfinite(audit.gradient_cosine)]
    return bool(later) and all(
        audit.gradient_cosine > _SAME and abs(audit.gradient_scale - 1) < _CLOSE for audit in later
    )
