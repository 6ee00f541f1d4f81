"""Momentum that makes steps a hundred times as long and more."""

from __future__ import annotations

import pytest

from hpo.checks.observations import Observations
from hpo.checks.rules.momentum import _EXTREME, momentum
from tests.helpers.observed import LIMITS, one, seen, setup


def pushed(value: float, optimizer: str = "sgd") -> Observations:
    return seen(setup=setup(momentum=value, optimizer=optimizer))


@pytest.mark.parametrize("value", [0.0, 0.9, _EXTREME])
def test_momentum_usual_momentum_is_quiet(value: float) -> None:
    assert momentum(pushed(value), LIMITS) == []


@pytest.mark.parametrize(
    ("value", "words", "severity"), [(0.991, "111 times", "note"), (0.999, "1000 times", "warn")]
)
def test_momentum_warns_only_if_longer_than_the_training(value: float, words: str, severity: str) -> None:
    assert pushed(value).setup.total_steps == 500
    found = one(momentum(pushed(value), LIMITS), severity, "momentum_too_high")
    assert (found.value, found.threshold) == (value, _EXTREME)
    assert f"momentum {value:g}" in found.message and words in found.message
    assert found.remedy.change == {"momentum": 0.9}


@pytest.mark.parametrize("value", [1.0, 1.5])
def test_momentum_that_never_fades_is_worth_a_warning(value: float) -> None:
    found = one(momentum(pushed(value), LIMITS), "warn", "momentum_too_high")
    assert f"momentum {value:g} makes steps ever longer" in found.message


def test_adams_momentum_is_an_average_that_may_be_too_long_as_well() -> None:
    assert momentum(pushed(0.9, "adam"), LIMITS) == []
    found = one(momentum(pushed(0.999, "adamw"), LIMITS), "warn", "momentum_too_high")
    assert "momentum 0.999 makes steps the mean of the last 1,000 gradients" in found.message


def test_momentum_rmsprops_momentum_adds_up_as_that_of_sgd() -> None:
    found = one(momentum(pushed(0.999, "rmsprop"), LIMITS), "warn", "momentum_too_high")
    assert "1000 times as long" in found.message
