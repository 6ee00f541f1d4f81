"""Gradients that are cut down to next to nothing."""

from __future__ import annotations

import pytest

from hpo.checks.observations import Observations
from hpo.checks.rules.clipping import _TINY, clipping
from tests.helpers.observed import LIMITS, one, seen, setup


def clipped(limit: float | None, optimizer: str = "sgd") -> Observations:
    return seen(setup=setup(settings={"gradient_clip": limit}, optimizer=optimizer))


@pytest.mark.parametrize("limit", [None, _TINY, 1.0])
def test_clipping_usual_limits_are_quiet(limit: float | None) -> None:
    assert clipping(clipped(limit), LIMITS) == []


def test_clipping_a_tiny_limit_is_a_tiny_learning_rate() -> None:
    found = one(clipping(clipped(_TINY * 0.99), LIMITS), "note", "schedule")
    assert (found.value, found.threshold) == (_TINY * 0.99, _TINY)
    assert "9.9e-04" in found.message and found.remedy.change == {"gradient_clip": 1.0}


def test_clipping_adams_steps_do_not_depend_on_the_size_of_gradients() -> None:
    assert clipping(clipped(1e-9, "adam"), LIMITS) == []


def test_clipping_a_loop_without_configuration_is_quiet() -> None:
    assert clipping(seen(setup=setup(settings={})), LIMITS) == []
