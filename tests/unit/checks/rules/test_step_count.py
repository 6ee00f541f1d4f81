"""Trainings of a few dozen steps."""

from __future__ import annotations

import pytest

from hpo.checks.rules.step_count import _FEW, step_count
from tests.helpers.observed import LIMITS, falling, one, seen, setup


def test_step_count_enough_is_quiet() -> None:
    assert step_count(seen(setup=setup(epochs=1, steps_per_epoch=_FEW)), LIMITS) == []


@pytest.mark.parametrize(("epochs", "steps_per_epoch"), [(1, _FEW - 1), (_FEW - 1, 1)])
def test_step_count_fewer_is_not(epochs: int, steps_per_epoch: int) -> None:
    short = seen(setup=setup(epochs=epochs, steps_per_epoch=steps_per_epoch))
    found = one(step_count(short, LIMITS), "warn", "batch_size")
    assert (found.value, found.threshold) == (_FEW - 1, _FEW) and f"only {_FEW - 1} steps" in found.message
    assert found.remedy.change == {"batch_size": 64}


@pytest.mark.parametrize("unknown", ["epochs", "steps_per_epoch"])
def test_step_count_an_unknown_length_is_quiet(unknown: str) -> None:
    known = {"epochs": 1, "steps_per_epoch": 1}
    assert step_count(seen(setup=setup(**{**known, unknown: None})), LIMITS) == []


@pytest.mark.parametrize(("batch_size", "change"), [(128, {"batch_size": 64}), (64, {"epochs": 9})])
def test_step_count_a_batch_size_is_not_suggested_where_it_is_set(
    batch_size: int, change: dict[str, int]
) -> None:
    """9 epochs of 6 steps are more than 50."""
    short = setup(epochs=2, steps_per_epoch=6, settings={"batch_size": batch_size, "schedule": "constant"})
    found = one(step_count(seen(setup=short), LIMITS), "warn", "batch_size")
    assert found.remedy.change == change


def test_step_count_of_an_own_loop_is_judged_at_its_end() -> None:
    loop = setup(epochs=3, steps_per_epoch=5, settings={})
    assert step_count(seen(setup=loop, losses=falling(15), ended=False), LIMITS) == []
    assert step_count(seen(setup=loop, losses=falling(_FEW), ended=True), LIMITS) == []
    one(step_count(seen(setup=loop, losses=falling(_FEW - 1), ended=True), LIMITS), "warn", "batch_size")
