"""A Sobol sequence for objectives that are written for Optuna, whose space is not known before."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import optuna
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from hpo.trainer.optuna_sobol import SobolSampler, _value


def _draws(number: int, *, flag: bool = True) -> dict[str, Any]:
    study = optuna.create_study(sampler=SobolSampler(number, seed=5, seed_of_trial=number))
    trial = study.ask()
    trial.suggest_float("x", 0, 1)
    if flag:
        trial.suggest_float("y", 1e-4, 1, log=True)
    trial.suggest_categorical("kind", ["a", "b", None])
    return trial.params


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(before)


def test_trials_fill_each_dimension_evenly() -> None:
    drawn = [_draws(number) for number in range(16)]
    assert sorted(int(16 * each["x"]) for each in drawn) == list(range(16))
    cells = {(int(4 * each["x"]), int(4 + math.log10(each["y"]))) for each in drawn}
    assert len(cells) == 16


def test_a_trial_that_starts_over_draws_the_same_and_others_do_not() -> None:
    assert _draws(3) == _draws(3)
    assert _draws(3)["x"] != _draws(4)["x"]
    assert _draws(3)["x"] == _draws(3, flag=False)["x"]


@pytest.mark.parametrize(
    ("distribution", "low", "high", "count"),
    [
        (IntDistribution(16, 256, step=16), 16, 256, 16),
        (IntDistribution(1, 4), 1, 4, 4),
        (IntDistribution(1, 1000, log=True), 1, 1000, 1000),
        (FloatDistribution(0.0, 1.0, step=0.25), 0.0, 1.0, 5),
        (FloatDistribution(1e-5, 1e-1, log=True), 1e-5, 1e-1, None),
        (FloatDistribution(-1.0, 1.0), -1.0, 1.0, None),
        (FloatDistribution(2.0, 2.0), 2.0, 2.0, 1),
        (CategoricalDistribution([False, True]), False, True, 2),
    ],
)
def test_values_are_those_that_the_distribution_contains(
    distribution: BaseDistribution, low: Any, high: Any, count: int | None
) -> None:
    values = [_value(u / 5000, distribution) for u in range(5000)] + [_value(1 - 1e-12, distribution)]
    assert all(distribution._contains(distribution.to_internal_repr(each)) for each in values)
    assert values[0] == pytest.approx(low) and values[-1] == pytest.approx(high)
    if count is not None and count < 1000:
        assert len(set(values)) == count
        assert max(Counter(values).values()) <= 2 * min(Counter(values[:-1]).values())
