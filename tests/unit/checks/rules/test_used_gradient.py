"""Audited gradients to findings; what loops do to gradients is in test_audit."""

from __future__ import annotations

from typing import Any

from hpo.checks.observations import Observations
from hpo.checks.rules.used_gradient import _CUT, _LOST, used_gradient
from tests.helpers.observed import LIMITS, NAN, audit, one, seen, setup


def used(optimizer: str = "sgd", settings: dict[str, Any] | None = None, **changes: Any) -> Observations:
    audits = [audit(step, **changes) for step in (0, 1, 2)]
    return seen(audits=audits, setup=setup(optimizer=optimizer, settings=settings or {}))


def test_used_gradient_what_is_lost_entirely_is_for_another_check() -> None:
    assert used_gradient(used(), LIMITS) == []
    one(used_gradient(used(lost=_LOST + 0.01), LIMITS), "warn", "vanishing_gradients")
    assert used_gradient(used(lost=_LOST), LIMITS) == []
    assert used_gradient(used(lost=1.0, gradient_cosine=NAN), LIMITS) == []
    assert used_gradient(used(lost=1.0), LIMITS) == []


def test_used_gradient_a_short_gradient_makes_short_steps_with_sgd_alone() -> None:
    short: dict[str, Any] = {"gradient_scale": _CUT * 0.9}
    found = one(used_gradient(used(**short), LIMITS), "note", "schedule")
    assert found.remedy.change == {"gradient_clip": 1.0}
    assert used_gradient(used("adam", **short), LIMITS) == []
    assert used_gradient(used(**short, scale=65536.0), LIMITS) == []
    one(used_gradient(used(**short, scale=NAN), LIMITS), "note", "schedule")


def test_a_turned_gradient_is_that_of_a_penalty_where_there_is_one() -> None:
    one(used_gradient(used(gradient_cosine=0.2), LIMITS), "note", "wrong_gradient")
    one(used_gradient(used(gradient_cosine=0.2, settings={"l1": 0.1}), LIMITS), "note", "over_regularized")
