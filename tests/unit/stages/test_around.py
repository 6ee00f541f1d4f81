"""Draws around the best configurations: near them, within the space, what belongs together together."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from hpo.config.study import StudySpec
from hpo.search.samplers.pure import signature
from hpo.stages.around import CHANGE, REACH, draws_around

SPACE = {
    "lr": {"log": [1e-4, 1.0]},
    "depth": {"int": [2, 6]},
    "activation": {"choice": ["relu", "tanh", "elu"]},
    "optimizer": {"choice": ["sgd", "adam"]},
    "momentum": {"uniform": [0.8, 0.99], "when": {"optimizer": "sgd"}},
}
SLOW = {"lr": 1e-3, "depth": 3, "activation": "relu", "optimizer": "adam"}
FAST = {"lr": 0.3, "depth": 5, "activation": "tanh", "optimizer": "sgd", "momentum": 0.9}


def study(space: dict[str, Any], seed: int = 0) -> StudySpec:
    return StudySpec.model_validate({"study": "s", "trials": 9, "seed": seed, "fixed": {}, "space": space})


def drawn(best: list[dict[str, Any]], count: int = 4000, space: dict[str, Any] = SPACE) -> list[Any]:
    return draws_around(study(space), best, range(count), [])


def test_around_moves_numbers_by_the_reach_within_the_range() -> None:
    rates = [math.log10(each["lr"]) for each in drawn([{**SLOW, "lr": 1e-2}])]
    assert min(rates) >= -4 and max(rates) <= 0
    # A normal distribution around the middle, cut off at 1.5 standard deviations.
    spread = REACH * 4 * math.sqrt(1 - 3 * math.exp(-1.125) / math.sqrt(2 * math.pi) / math.erf(1.5 / 2**0.5))
    assert np.mean(rates) == pytest.approx(-2, abs=0.05)
    assert np.std(rates) == pytest.approx(spread, rel=0.03)


def test_what_belongs_together_stays_together() -> None:
    found = drawn([SLOW, FAST])
    rates = {
        name: [math.log10(each["lr"]) for each in found if each["optimizer"] == name]
        for name in ("sgd", "adam")
    }
    assert np.mean(rates["sgd"]) - np.mean(rates["adam"]) > 1.0
    # Half of the draws are around each.
    assert len(rates["sgd"]) == pytest.approx(2000, abs=150)


def test_choices_change_now_and_then_each_other_one_as_often() -> None:
    found = [each["activation"] for each in drawn([SLOW])]
    assert found.count("relu") / len(found) == pytest.approx(1 - CHANGE, abs=0.02)
    assert found.count("tanh") / len(found) == pytest.approx(CHANGE / 2, abs=0.015)


def test_around_keeps_conditions_and_draws_missing_values_from_all() -> None:
    found = drawn([SLOW])
    assert all(("momentum" in each) == (each["optimizer"] == "sgd") for each in found)
    momenta = [each["momentum"] for each in found if "momentum" in each]
    assert 0.8 <= min(momenta) < 0.82 and 0.97 < max(momenta) <= 0.99
    assert np.std(momenta) == pytest.approx(0.19 / math.sqrt(12), rel=0.1)


def test_whole_numbers_stay_whole_and_within() -> None:
    depths = [each["depth"] for each in drawn([SLOW])]
    assert set(depths) == {2, 3, 4, 5, 6}
    assert max(set(depths), key=depths.count) == 3


def test_around_a_center_outside_the_space_draws_at_its_nearest_end() -> None:
    space = {"lr": {"log": [1e-3, 1e-2]}, "activation": {"choice": ["relu", "tanh"]}}
    found = drawn([{"lr": 1.0, "activation": "elu"}], space=space)
    rates = [math.log10(each["lr"]) for each in found]
    assert max(rates) <= -2 and np.mean(rates) > -2.5
    assert {each["activation"] for each in found} == {"relu", "tanh"}


def test_a_draw_depends_on_seed_and_slot_alone() -> None:
    one, other = study(SPACE), study(SPACE, seed=1)
    assert draws_around(one, [SLOW, FAST], range(9), [])[4:] == draws_around(
        one, [SLOW, FAST], range(4, 9), []
    )
    assert draws_around(one, [SLOW], range(9), []) != draws_around(other, [SLOW], range(9), [])


def test_no_point_of_a_finite_space_comes_twice_until_all_are_taken() -> None:
    space = {"depth": {"int": [2, 4]}, "activation": {"choice": ["relu", "tanh"]}}
    spec = study(space)
    planned = {"depth": 3, "activation": "relu"}
    found = draws_around(spec, [planned], range(5), [planned])
    assert len({signature(spec, each) for each in [planned, *found]}) == 6
    assert len(draws_around(spec, [planned], range(7), [planned])) == 7


def test_what_is_drawn_again_in_a_finite_space_is_near_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def distance() -> float:
        found = [
            draws_around(study({"depth": {"int": [1, 30]}}, seed), [{"depth": 1}], range(8), [{"depth": 1}])
            for seed in range(100)
        ]
        return float(np.mean([each["depth"] - 1 for of_seed in found for each in of_seed]))

    near = distance()
    monkeypatch.setattr("hpo.stages.around.MAX_RESAMPLES", 0)  # then any point that is left
    assert near < distance() - 1
