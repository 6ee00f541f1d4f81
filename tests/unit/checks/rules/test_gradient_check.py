"""Backward against a numeric derivative."""

from __future__ import annotations

import pytest

from hpo.checks.observations import Observations
from hpo.checks.rules.gradient_check import gradient_check
from tests.helpers.observed import LIMITS, NAN, one, preflight, seen


def differing(error: float | None) -> Observations:
    return seen(preflight=preflight(gradient_error=error))


def test_gradient_check_up_to_the_limit_it_passes() -> None:
    found = one(gradient_check(differing(LIMITS.gradient_error), LIMITS), "pass", "")
    assert found.value == found.threshold == LIMITS.gradient_error and "5.0e-02" in found.message


def test_gradient_check_beyond_it_backward_is_wrong() -> None:
    error = LIMITS.gradient_error + 0.01
    found = one(gradient_check(differing(error), LIMITS), "warn", "wrong_gradient")
    assert (found.value, found.threshold) == (error, LIMITS.gradient_error) and "6%" in found.message
    assert "backward" in found.remedy.text and found.remedy.change == {}


@pytest.mark.parametrize("error", [None, NAN])
def test_gradient_check_not_measured_is_quiet(error: float | None) -> None:
    assert gradient_check(differing(error), LIMITS) == []
