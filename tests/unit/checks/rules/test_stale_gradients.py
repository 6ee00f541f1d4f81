"""Gradients that are still there."""

from __future__ import annotations

import math

from hpo.checks.rules.stale_gradients import stale_gradients
from tests.helpers.observed import LIMITS, forward, one, seen, setup

OWN = setup(settings={})


def test_stale_gradients_every_pass_must_show_them() -> None:
    above, below = LIMITS.stale_gradient + 0.001, LIMITS.stale_gradient - 0.001
    found = one(
        stale_gradients(seen(forwards=[forward(0), forward(1, stale_gradient=above)]), LIMITS), "warn"
    )
    assert found.cause == "stale_gradients" and found.remedy.change == {"code": "call_zero_grad"}
    both = [forward(1, stale_gradient=above), forward(2, stale_gradient=below)]
    assert stale_gradients(seen(forwards=both), LIMITS) == []
    assert stale_gradients(seen(forwards=[forward(1, stale_gradient=math.nan)]), LIMITS) == []


def test_stale_gradients_steps_that_use_only_their_own_have_none() -> None:
    passes = [forward(1, stale_gradient=1.0)]
    own, summed = [(0.8, 1.0), (0.9, 1.0)], [(1.0, 0.8), (1.0, 0.9)]
    assert stale_gradients(seen(setup=OWN, forwards=passes, audits=[], carried=own), LIMITS) == []
    one(stale_gradients(seen(setup=OWN, forwards=passes, audits=[], carried=[(1.0, 1.0)]), LIMITS), "warn")
    one(stale_gradients(seen(setup=OWN, carried=summed), LIMITS), "warn", "stale_gradients")
