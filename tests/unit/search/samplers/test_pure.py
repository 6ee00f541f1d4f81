from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.stats import qmc

from hpo.config.fields import HYPERPARAMETERS
from hpo.config.study import StudySpec
from hpo.search.samplers.pure import grid_points, resample, signature
from hpo.search.samplers.registry import PURE, sample_slot

SPACE: dict[str, Any] = {
    "lr": {"log": [1e-4, 1.0]},
    "dropout": {"uniform": [0.1, 0.6]},
    "width": {"int": [3, 6]},
    "activation": {"choice": ["relu", "tanh", "elu"]},
    "optimizer": {"choice": ["sgd", "adam"]},
    "momentum": {"uniform": [0.8, 0.99], "when": {"optimizer": "sgd"}},
}
FINITE: dict[str, Any] = {
    "activation": {"choice": ["relu", "tanh"]},
    "width": {"int": [3, 6]},
    "optimizer": {"choice": ["sgd", "adam"]},
    "nesterov": {"choice": [True, False], "when": {"optimizer": "sgd"}},
}
FINITE_POINTS = 2 * 4 * (2 + 1)
DRAWS = 20_000


def _study(seed: int = 0, space: dict[str, Any] = SPACE, **more: Any) -> StudySpec:
    return StudySpec.model_validate({"study": "s", "seed": seed, "trials": 10, "space": space, **more})


@pytest.fixture(scope="module", params=[0, 1, 2])
def draws(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    spec = _study(request.param)
    return [sample_slot(spec, slot) for slot in range(DRAWS)]


@pytest.mark.parametrize("sampler", ["random", "sobol", "grid"])
def test_a_slot_has_one_configuration_in_whatever_order_slots_are_drawn(sampler: str) -> None:
    space = FINITE if sampler == "grid" else SPACE
    forwards, backwards = _study(space=space, sampler=sampler), _study(space=space, sampler=sampler)
    there = [sample_slot(forwards, slot) for slot in range(6)]
    back = [sample_slot(backwards, slot) for slot in reversed(range(6))]
    assert there == back[::-1]


@pytest.mark.parametrize("sampler", ["random", "sobol"])
def test_another_seed_gives_other_configurations(sampler: str) -> None:
    assert sample_slot(_study(seed=0, sampler=sampler), 0) != sample_slot(_study(seed=1, sampler=sampler), 0)


def test_a_parameter_more_leaves_the_others_as_they_are() -> None:
    smaller = {name: SPACE[name] for name in ("lr", "width")}
    assert sample_slot(_study(space=smaller), 4)["lr"] == sample_slot(_study(), 4)["lr"]


def test_log_is_uniform_in_the_exponent(draws: list[dict[str, Any]]) -> None:
    exponents = np.log10([d["lr"] for d in draws])
    assert stats.kstest(exponents, stats.uniform(-4, 4).cdf).pvalue > 0.001
    assert stats.kstest([d["lr"] for d in draws], stats.loguniform(1e-4, 1.0).cdf).pvalue > 0.001


def test_uniform_follows_its_law(draws: list[dict[str, Any]]) -> None:
    values = [d["dropout"] for d in draws]
    assert stats.kstest(values, stats.uniform(0.1, 0.5).cdf).pvalue > 0.001


def test_a_conditional_value_follows_its_law(draws: list[dict[str, Any]]) -> None:
    values = [d["momentum"] for d in draws if d["optimizer"] == "sgd"]
    assert len(values) == pytest.approx(DRAWS / 2, rel=0.05)
    assert stats.kstest(values, stats.uniform(0.8, 0.19).cdf).pvalue > 0.001


@pytest.mark.parametrize(
    ("name", "values"), [("width", [3, 4, 5, 6]), ("activation", ["relu", "tanh", "elu"])]
)
def test_whole_numbers_and_choices_follow_their_law(
    draws: list[dict[str, Any]], name: str, values: list[Any]
) -> None:
    """Spread evenly within their steps, they too pass Kolmogorov and Smirnov's test."""
    ranks = np.array([values.index(d[name]) for d in draws])
    spread = (ranks + np.random.default_rng(0).random(len(ranks))) / len(values)
    assert stats.kstest(spread, stats.uniform.cdf).pvalue > 0.001
    assert stats.chisquare(np.bincount(ranks, minlength=len(values))).pvalue > 0.001


def test_values_of_a_draw_have_nothing_to_do_with_each_other(draws: list[dict[str, Any]]) -> None:
    columns = np.array([[np.log(d["lr"]), d["dropout"], d["width"]] for d in draws])
    off_diagonal = stats.spearmanr(columns).statistic[np.triu_indices(3, k=1)]
    assert np.abs(off_diagonal).max() < 4 / np.sqrt(DRAWS)


def test_conditional_parameter_is_drawn_only_where_it_applies(draws: list[dict[str, Any]]) -> None:
    assert len(draws) == DRAWS
    assert all(("momentum" in d) == (d["optimizer"] == "sgd") for d in draws)


def test_a_condition_on_a_fixed_value_holds() -> None:
    spec = _study(space={"momentum": SPACE["momentum"]}, fixed={"optimizer": "sgd"})
    assert "momentum" in sample_slot(spec, 0)
    spec = _study(space={"momentum": SPACE["momentum"]}, fixed={"optimizer": "adam"})
    assert "momentum" not in sample_slot(spec, 0)


def test_grid_visits_each_point_once_a_round() -> None:
    spec = _study(space=FINITE, sampler="grid")
    every = grid_points(spec)
    assert every is not None and len(every) == FINITE_POINTS
    assert all(a != b for a, b in pairwise(sorted(map(repr, every))))
    assert [sample_slot(spec, slot) for slot in range(2 * FINITE_POINTS)] == every * 2


@pytest.mark.parametrize("sampler", ["random", "sobol"])
@pytest.mark.parametrize("seed", range(5))
def test_a_finite_space_has_no_point_twice_before_all_were_tried(sampler: str, seed: int) -> None:
    spec = _study(seed, FINITE, sampler=sampler)
    tried = [signature(spec, sample_slot(spec, slot)) for slot in range(2 * FINITE_POINTS)]
    assert len(set(tried[:FINITE_POINTS])) == FINITE_POINTS
    assert len(set(tried[FINITE_POINTS:])) == FINITE_POINTS
    assert tried[:FINITE_POINTS] != tried[FINITE_POINTS:]


def test_a_slot_keeps_its_draw_unless_a_lower_one_has_it() -> None:
    spec = _study(space=FINITE)
    endless = _study(space={**FINITE, "lr": SPACE["lr"]})  # never looks for duplicates
    own = [
        {k: v for k, v in sample_slot(endless, slot).items() if k != "lr"} for slot in range(FINITE_POINTS)
    ]
    kept = [sample_slot(spec, slot) == own[slot] for slot in range(FINITE_POINTS)]
    first = [own[slot] not in own[:slot] for slot in range(FINITE_POINTS)]
    assert kept.count(True) >= FINITE_POINTS // 3
    assert all(first[slot] for slot in range(FINITE_POINTS) if kept[slot])


def test_the_first_draws_of_a_finite_space_follow_its_law() -> None:
    """Half of the draws are adam, though it has only a third of the points."""
    first = [sample_slot(_study(seed, FINITE), 0)["optimizer"] for seed in range(400)]
    assert stats.binomtest(first.count("adam"), len(first), 0.5).pvalue > 0.001


def test_what_has_no_effect_makes_no_other_configuration() -> None:
    space = {"optimizer": {"choice": ["sgd", "adam"]}, "nesterov": {"choice": [True, False]}}
    spec = _study(space=space)
    assert len(grid_points(spec) or []) == 3
    assert len({signature(spec, sample_slot(spec, slot)) for slot in range(3)}) == 3


def test_a_rare_point_is_found_without_end() -> None:
    """One of a million draws has the last of these points."""
    space = {
        "activation": {"choice": ["relu", "maxout"]},
        "depth": {"int": [1, 100], "when": {"activation": "maxout"}},
        "width": {"int": [1, 100], "when": {"activation": "maxout", "depth": 1}},
    }
    spec = _study(space=space)
    assert len({signature(spec, sample_slot(spec, slot)) for slot in range(200)}) == 200


def test_redraws_are_random_and_differ() -> None:
    again = [resample(_study(), 3, each)["lr"] for each in range(1, 2001)]
    assert stats.kstest(again, stats.loguniform(1e-4, 1.0).cdf).pvalue > 0.001
    assert resample(_study(), 4, 1)["lr"] not in again


def _unit_cube(sampler: str, seed: int, count: int) -> np.ndarray:
    space = {name: {"uniform": [0.0, 0.9]} for name in ("dropout", "momentum", "beta1", "label_smoothing")}
    spec = _study(seed, space, sampler=sampler)
    return np.array([list(sample_slot(spec, slot).values()) for slot in range(count)]) / 0.9


@pytest.mark.parametrize("count", [32, 100])
def test_sobol_has_a_lower_discrepancy_than_random(count: int) -> None:
    seeds = range(5)
    sobol = [qmc.discrepancy(_unit_cube("sobol", seed, count)) for seed in seeds]
    random = [qmc.discrepancy(_unit_cube("random", seed, count)) for seed in seeds]
    assert max(sobol) < min(random)
    assert np.mean(sobol) < 0.5 * np.mean(random)


@pytest.mark.parametrize("seed", [0, 1])
def test_sobol_fills_every_stratum_once(seed: int) -> None:
    """Of 2^k points each 2^k-th part of every dimension has one: what makes a sequence (0, 1) in base 2."""
    cube = _unit_cube("sobol", seed, 64)
    assert all(sorted(np.floor(column * 64)) == list(range(64)) for column in cube.T)


def test_sobol_has_a_dimension_for_a_parameter_that_does_not_apply() -> None:
    """Without the condition the same slots have the same values."""
    unconditional = SPACE | {"momentum": {"uniform": [0.8, 0.99]}}
    some, every = _study(sampler="sobol"), _study(space=unconditional, sampler="sobol")
    for slot in range(20):
        drawn = sample_slot(some, slot)
        assert drawn == {name: sample_slot(every, slot)[name] for name in drawn}


def test_sobol_does_not_depend_on_the_order_of_keys() -> None:
    turned = dict(reversed(SPACE.items()))
    assert sample_slot(_study(space=turned, sampler="sobol"), 7) == sample_slot(_study(sampler="sobol"), 7)


def test_sobol_has_dimensions_for_all_hyperparameters_there_are() -> None:
    assert len(HYPERPARAMETERS) < qmc.Sobol.MAXDIM


@pytest.mark.parametrize("sampler", PURE)
def test_nothing_to_search_is_drawn_as_nothing(sampler: str) -> None:
    assert [sample_slot(_study(space={}, sampler=sampler), slot) for slot in range(3)] == [{}, {}, {}]


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes"])
def test_what_learns_begins_at_random(sampler: str) -> None:
    assert sample_slot(_study(sampler=sampler), 5) == sample_slot(_study(), 5)


@pytest.mark.parametrize("sampler", ["random", "sobol"])
@pytest.mark.parametrize("given", [{"optimizer": "adam", "width": 5, "activation": "tanh"}, {"width": 5}])
def test_the_first_configurations_of_a_finite_space_are_not_drawn_again(
    sampler: str, given: dict[str, Any]
) -> None:
    spec = _study(space=FINITE, sampler=sampler, first=[given])
    drawn = [given | sample_slot(spec.with_fixed(given), 0)]
    drawn += [sample_slot(spec, slot) for slot in range(1, FINITE_POINTS)]
    assert len({signature(spec, each) for each in drawn}) == FINITE_POINTS
