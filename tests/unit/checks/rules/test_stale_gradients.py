"""Gradients that are still there."""

from __future__ import annotations

import math

from hpo.checks.rules.stale_gradients import stale_gradients
from tests.helpers.observed import LIMITS, fed, one, seen


def test_every_pass_must_show_them() -> None:
    above, below = LIMITS.stale_gradient + 0.001, LIMITS.stale_gradient - 0.001
    found = one(stale_gradients(seen(fed=[fed(0), fed(1, stale_gradient=above)]), LIMITS), "warn")
    assert found.cause == "stale_gradients" and found.remedy.change == {"code": "call_zero_grad"}
    both = [fed(1, stale_gradient=above), fed(2, stale_gradient=below)]
    assert stale_gradients(seen(fed=both), LIMITS) == []
    assert stale_gradients(seen(fed=[fed(1, stale_gradient=math.nan)]), LIMITS) == []
