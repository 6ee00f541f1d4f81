"""Twenty examples by heart, and what they were learned from."""

from __future__ import annotations

import math

import pytest

from hpo.checks.observations import Observations
from hpo.checks.preflight import Memorization
from hpo.checks.rules.overfit_small import _DIFFERENCE, _FALLEN, looks_at_input, overfit_small
from tests.helpers.observed import LIMITS, NAN, one, preflight, seen


def learned(
    accuracy: float = 1.0, first: float = 2.3, last: float = 0.4, more: float = 2.0, steps: int = 60
) -> Observations:
    """``more`` nats are what zeroed inputs cost."""
    return seen(
        preflight=preflight(memorization=Memorization(20, accuracy, steps, first, last, last + more, ()))
    )


def test_overfit_small_all_of_them_pass() -> None:
    found = one(overfit_small(learned(steps=11), LIMITS), "pass", "")
    assert found.value == found.threshold == 1.0 and "memorized 20 examples in 11 steps" in found.message


def test_overfit_small_all_but_one_is_noted() -> None:
    found = one(overfit_small(learned(0.95), LIMITS), "note", "")
    assert (found.value, found.threshold) == (0.95, 1.0)
    assert (
        "memorized only 95% of 20 examples in 60 steps" in found.message and "raise lr" in found.remedy.text
    )


@pytest.mark.parametrize("loss", [math.inf, NAN])
def test_overfit_small_a_loss_that_is_not_finite_calls_for_a_lower_lr(loss: float) -> None:
    found = one(overfit_small(learned(0.1, last=loss, steps=3), LIMITS), "note")
    assert found.threshold == 1.0
    assert f"became {loss} after 3 steps" in found.message and found.remedy.text == "lower lr"


def test_overfit_small_zeroed_images_must_cost_something() -> None:
    for more in (1.1 * _DIFFERENCE, -1.1 * _DIFFERENCE):
        found = one(looks_at_input(learned(0.5, more=more), LIMITS), "pass", "")
        assert found.value == pytest.approx(more) and f"{more:.3g} nats" in found.message
    found = one(looks_at_input(learned(0.5, more=0.9 * _DIFFERENCE), LIMITS), "note", "ignores_input")
    assert found.value == pytest.approx(0.9 * _DIFFERENCE) and found.threshold == _DIFFERENCE
    assert "(0.409)" in found.message and "first layer" in found.remedy.text


def test_overfit_small_full_accuracy_reports_nothing() -> None:
    one(looks_at_input(learned(1.0, more=0.0), LIMITS), "pass")
    one(looks_at_input(learned(1.0, first=0.45, more=0.0), LIMITS), "pass")


def test_overfit_small_nothing_learned_names_no_other_cause() -> None:
    assert looks_at_input(learned(0.5, last=2.3 - 0.9 * _FALLEN, more=0.0), LIMITS) == []
    one(looks_at_input(learned(0.5, last=2.3 - 1.1 * _FALLEN, more=0.0), LIMITS), "note")


@pytest.mark.parametrize(("last", "more"), [(NAN, 0.0), (math.inf, 0.0), (0.4, NAN)])
def test_overfit_small_losses_that_are_not_finite_report_nothing(last: float, more: float) -> None:
    assert looks_at_input(learned(0.5, last=last, more=more), LIMITS) == []


def test_overfit_small_not_tried_is_quiet() -> None:
    nothing = seen(preflight=preflight(memorization=None))
    assert overfit_small(nothing, LIMITS) == looks_at_input(nothing, LIMITS) == []
