"""Audited numbers to findings; what real losses give is in test_audit."""

from __future__ import annotations

from typing import Any

import pytest

from hpo.checks.observations import Observations
from hpo.checks.rules.loss_gradient import loss_gradient
from tests.helpers.observed import LIMITS, NAN, audit, one, seen, setup


def audited(*cosines: float, **changes: Any) -> Observations:
    return seen(audits=[audit(step, cosine=cosine, **changes) for step, cosine in enumerate(cosines)])


def test_loss_gradient_one_step_that_fits_is_enough() -> None:
    assert loss_gradient(audited(0.1, 0.31, NAN), LIMITS) == []
    one(loss_gradient(audited(0.1, 0.29, NAN), LIMITS), "warn", "wrong_loss")
    assert loss_gradient(audited(NAN), LIMITS) == []
    assert loss_gradient(audited(), LIMITS) == []


def test_loss_gradient_the_threshold_is_that_of_the_study_file() -> None:
    one(loss_gradient(audited(0.4), LIMITS.model_copy(update={"loss_cosine": 0.5})), "warn", "wrong_loss")


def test_away_from_labels_is_right_for_an_optimizer_that_maximizes() -> None:
    found = one(loss_gradient(audited(-0.9, -0.8), LIMITS), "warn", "wrong_loss")
    assert found.value == -0.8 and found.remedy.change == {"code": "fix_loss_sign"}
    rising = seen(setup=setup(maximizes=True), audits=[audit(cosine=-0.9)])
    assert loss_gradient(rising, LIMITS) == []


@pytest.mark.parametrize(("idle", "lead", "count"), [(0.9, -0.1, 1), (0.9, 0.1, 0), (0.4, -0.1, 0)])
def test_loss_gradient_only_the_easiest_examples(idle: float, lead: float, count: int) -> None:
    found = loss_gradient(audited(0.31, 0.31, idle=idle, lead=lead), LIMITS)
    assert [each.cause for each in found] == ["wrong_loss"] * count
