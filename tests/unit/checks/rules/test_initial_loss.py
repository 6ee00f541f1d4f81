"""The first loss against ln C, without and with regularization."""

from __future__ import annotations

import math

import pytest

from hpo.checks.observations import Observations
from hpo.checks.rules.initial_loss import _HEAVY, initial_loss, regularized_loss
from tests.helpers.observed import LIMITS, LN10, NAN, one, preflight, seen, setup

LIMIT = LIMITS.initial_loss_factor * LN10


def starting(loss: float, penalty: float | None = None, classes: int = 10) -> Observations:
    return seen(setup=setup(classes=classes), preflight=preflight(loss=loss, penalty=penalty))


@pytest.mark.parametrize("loss", [0.1, LN10, LIMIT])
def test_initial_loss_up_to_twice_ln_c_passes(loss: float) -> None:
    found = one(initial_loss(starting(loss), LIMITS), "pass", "")
    assert found.value == loss and found.threshold == pytest.approx(math.log(10))
    assert "ln 10 = 2.303" in found.message


def test_initial_loss_more_is_confident_and_wrong() -> None:
    found = one(initial_loss(starting(LIMIT + 0.01), LIMITS), "warn", "bad_init")
    assert (found.value, found.threshold) == (LIMIT + 0.01, LIMIT) and "4.615" in found.message
    assert found.remedy.change == {"initializer": "he"}


def test_initial_loss_more_classes_may_start_higher() -> None:
    one(initial_loss(starting(LIMIT + 0.01, classes=100), LIMITS), "pass")


@pytest.mark.parametrize("loss", [math.inf, NAN])
def test_initial_loss_a_loss_that_is_not_finite_is_fatal(loss: float) -> None:
    found = one(initial_loss(starting(loss), LIMITS), "fatal", "bad_init")
    assert f"the loss is {loss}" in found.message and "gives 2.303" in found.message


@pytest.mark.parametrize("penalty", [1e-6, 2.0 * _HEAVY])
def test_initial_loss_regularization_raises_the_loss(penalty: float) -> None:
    found = one(regularized_loss(starting(2.0, penalty), LIMITS), "pass", "")
    assert f"from 2.000 to {2 + penalty:.3f}" in found.message


def test_initial_loss_a_penalty_that_outweighs_the_loss_is_noted() -> None:
    found = one(regularized_loss(starting(2.0, 2.0 * _HEAVY + 0.1), LIMITS), "note", "over_regularized")
    assert found.threshold == 2.0 * _HEAVY and "10.1" in found.message
    assert found.remedy.change == {"weight_decay": 5e-4, "l1": 0.0}


def test_initial_loss_a_penalty_of_nothing_is_noted() -> None:
    found = one(regularized_loss(starting(2.0, 0.0), LIMITS), "note", "")
    assert "does not raise" in found.message and found.remedy.text


@pytest.mark.parametrize(("loss", "penalty"), [(2.0, None), (2.0, NAN), (NAN, 1.0), (2.0, math.inf)])
def test_initial_loss_unknown_penalties_report_nothing(loss: float, penalty: float | None) -> None:
    assert regularized_loss(starting(loss, penalty), LIMITS) == []
