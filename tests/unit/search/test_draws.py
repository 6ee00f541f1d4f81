from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy import stats

from hpo.search.draws import draw, grid_points
from hpo.spec.study import StudySpec

SPACE: dict[str, Any] = {
    "lr": {"log": [1e-4, 1.0]},
    "dropout": {"uniform": [0.1, 0.6]},
    "width": {"int": [3, 6]},
    "activation": {"choice": ["relu", "tanh", "elu"]},
    "optimizer": {"choice": ["sgd", "adam"]},
    "momentum": {"uniform": [0.8, 0.99], "when": {"optimizer": "sgd"}},
}


def _study(seed: int = 0, space: dict[str, Any] = SPACE, **more: Any) -> StudySpec:
    return StudySpec.model_validate({"study": "s", "seed": seed, "trials": 10, "space": space, **more})


@pytest.fixture(scope="module")
def draws() -> list[dict[str, Any]]:
    spec = _study()
    return [draw(spec, slot) for slot in range(20_000)]


def test_a_slot_has_one_configuration() -> None:
    assert [draw(_study(), slot) for slot in (5, 3)] == [draw(_study(), slot) for slot in (5, 3)]


def test_another_seed_gives_other_configurations() -> None:
    assert draw(_study(seed=0), 0) != draw(_study(seed=1), 0)


def test_a_parameter_more_leaves_the_others_as_they_are() -> None:
    smaller = {name: SPACE[name] for name in ("lr", "width")}
    assert draw(_study(space=smaller), 4)["lr"] == draw(_study(), 4)["lr"]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_log_is_uniform_in_the_exponent(seed: int) -> None:
    spec = _study(seed, {"lr": SPACE["lr"]})
    exponents = np.log10([draw(spec, slot)["lr"] for slot in range(20_000)])
    assert stats.kstest(exponents, stats.uniform(-4, 4).cdf).pvalue > 0.001


def test_uniform_follows_its_law(draws: list[dict[str, Any]]) -> None:
    values = [d["dropout"] for d in draws]
    assert stats.kstest(values, stats.uniform(0.1, 0.5).cdf).pvalue > 0.001


@pytest.mark.parametrize(
    ("name", "values"), [("width", [3, 4, 5, 6]), ("activation", ["relu", "tanh", "elu"])]
)
def test_each_choice_is_as_likely(draws: list[dict[str, Any]], name: str, values: list[Any]) -> None:
    counts = [sum(d[name] == value for d in draws) for value in values]
    assert sum(counts) == len(draws)
    assert stats.chisquare(counts).pvalue > 0.001


def test_a_conditional_parameter_is_drawn_only_where_it_applies(draws: list[dict[str, Any]]) -> None:
    assert all(("momentum" in d) == (d["optimizer"] == "sgd") for d in draws)


def test_a_condition_on_a_fixed_value_holds() -> None:
    spec = _study(space={"momentum": SPACE["momentum"]}, fixed={"optimizer": "sgd"})
    assert "momentum" in draw(spec, 0)
    spec = _study(space={"momentum": SPACE["momentum"]}, fixed={"optimizer": "adam"})
    assert "momentum" not in draw(spec, 0)


def test_grid_visits_each_point_once_a_round() -> None:
    space = {
        "activation": {"choice": ["relu", "tanh"]},
        "optimizer": {"choice": ["sgd", "adam"]},
        "nesterov": {"choice": [True, False], "when": {"optimizer": "sgd"}},
    }
    spec = _study(space=space, sampler="grid")
    points = grid_points(spec)
    assert len(points) == 2 * (2 + 1)
    assert all(a != b for a, b in pairwise(sorted(map(repr, points))))
    assert [draw(spec, slot) for slot in range(12)] == points * 2
