"""Optuna's samplers on made-up trials: what they are told, and what comes of it."""

import math
from collections.abc import Callable
from statistics import median
from typing import Any

import pytest

from hpo.config.study import StudySpec
from hpo.search.history import GENERATION, PastTrial
from hpo.search.samplers.optuna import Draw, population
from hpo.search.samplers.pure import random_draw
from hpo.search.samplers.registry import LEARNING

NUMBERS: dict[str, Any] = {
    "lr": {"log": [1e-4, 1.0]},
    "weight_decay": {"log": [1e-6, 1e-1]},
    "dropout": {"uniform": [0.0, 0.8]},
}
STARTUP = 10
QUICK = ["tpe", "cmaes"]
"""A draw of the Gaussian process takes seconds."""


def _study(sampler: str, seed: int = 0, space: dict[str, Any] = NUMBERS) -> StudySpec:
    document = {"study": "s", "seed": seed, "trials": 100, "space": space}
    return StudySpec.model_validate({**document, "sampler": {sampler: {"startup": STARTUP}}})


def _past(
    spec: StudySpec, number: int, values: dict[str, Any], outcome: str | None = "complete", **more: Any
) -> PastTrial:
    configuration = spec.configuration({**values, "dataset": "synthetic"}).applicable()
    known = {"score": None, "reached": None, "epochs": 5, "hopeless": False, "generation": None}
    return PastTrial(number, number, configuration, outcome, **{**known, "ended": number, **more})


def _accuracy(values: dict[str, Any]) -> float:
    """Best, 0.9, at lr 0.02, weight decay 1e-3, without dropout."""
    lr, decay = math.log10(values["lr"] / 0.02), math.log10(values["weight_decay"] / 1e-3)
    return 0.9 - 0.1 * lr**2 - 0.02 * decay**2 - 0.3 * values["dropout"] ** 2


def _search(sampler: str, seed: int, trials: int) -> float:
    """The best accuracy of a study of one worker."""
    spec = _study(sampler, seed)
    past: list[PastTrial] = []
    for slot in range(trials):
        drawn = (
            LEARNING[sampler](spec, slot, 0, past)
            if slot >= STARTUP and sampler in LEARNING
            else Draw(random_draw(spec, slot), {})
        )
        generation = drawn.attributes.get(GENERATION)
        past.append(_past(spec, slot, drawn.values, score=_accuracy(drawn.values), generation=generation))
    return max(trial.score or 0.0 for trial in past)


@pytest.mark.slow
@pytest.mark.parametrize(("sampler", "trials"), [("tpe", 60), ("cmaes", 60), ("gp", 30)])
def test_it_beats_random_search_in_the_median(sampler: str, trials: int) -> None:
    seeds = range(7)
    learned = [_search(sampler, seed, trials) for seed in seeds]
    random = [max(_accuracy(random_draw(_study("tpe", s), i)) for i in range(trials)) for s in seeds]
    assert median(learned) > median(random)
    # Of what random search leaves open, at most half is left.
    assert 0.9 - median(learned) < 0.5 * (0.9 - median(random))


def _ten(spec: StudySpec, **changes: Any) -> list[PastTrial]:
    drawn = [random_draw(spec, slot) for slot in range(12)]
    return [_past(spec, n, values, score=_accuracy(values), **changes) for n, values in enumerate(drawn)]


@pytest.mark.parametrize("sampler", [*QUICK, pytest.param("gp", marks=pytest.mark.slow)])
def test_a_draw_follows_from_study_slot_and_trials(sampler: str) -> None:
    spec = _study(sampler)
    past = _ten(spec)
    first = LEARNING[sampler](spec, 12, 0, past)
    LEARNING[sampler](spec, 13, 0, past)
    assert LEARNING[sampler](spec, 12, 0, past) == first
    assert LEARNING[sampler](spec, 13, 0, past) != first
    assert LEARNING[sampler](_study(sampler, seed=1), 12, 0, past) != first
    if sampler != "gp":  # which goes to its maximum from wherever it begins
        assert LEARNING[sampler](spec, 12, 1, past) != first


@pytest.mark.parametrize("sampler", QUICK)
def test_every_draw_lies_in_the_space(sampler: str) -> None:
    space = {**NUMBERS, "width": {"int": [3, 5]}, "activation": {"choice": ["relu", "tanh"]}}
    space["negative_slope"] = {"uniform": [0.1, 0.2], "when": {"activation": "leaky_relu"}}
    space["activation"]["choice"].append("leaky_relu")
    spec = _study(sampler, space=space)
    past = _ten(spec)
    for slot in range(12, 42):
        values = LEARNING[sampler](spec, slot, 0, past).values
        assert 1e-4 <= values["lr"] <= 1.0 and 0.0 <= values["dropout"] <= 0.8
        assert isinstance(values["width"], int) and 3 <= values["width"] <= 5
        assert ("negative_slope" in values) == (values["activation"] == "leaky_relu")
        assert 0.1 <= values.get("negative_slope", 0.1) <= 0.2


def _share_below(sampler: str, past: Callable[[StudySpec], list[PastTrial]]) -> float:
    """How many of 40 draws have lr below 0.01."""
    spec = _study(sampler, space={"lr": {"log": [1e-4, 1.0]}})
    drawn = [LEARNING[sampler](spec, slot, 0, past(spec)).values["lr"] for slot in range(40)]
    return sum(lr < 0.01 for lr in drawn) / 40


def _halves(below: dict[str, Any], above: dict[str, Any]) -> Callable[[StudySpec], list[PastTrial]]:
    def past(spec: StudySpec) -> list[PastTrial]:
        exponents = [-3.9 + 0.19 * n for n in range(20)]
        halves = [(10**e, below if e < -2 else above) for e in exponents]
        return [_past(spec, n, {"lr": lr}, **how) for n, (lr, how) in enumerate(halves)]

    return past


GOOD = {"score": 0.5}


@pytest.mark.parametrize(
    "bad",
    [
        {"outcome": "failed"},
        {"outcome": "pruned", "hopeless": True, "reached": 0.6},
        {"outcome": "pruned", "reached": 0.2},
    ],
    ids=["failed", "hopeless", "stopped"],
)
def test_tpe_stays_away_from_trials_that_came_to_nothing(bad: dict[str, Any]) -> None:
    """Whatever a hopeless trial had reached before it was found out."""
    assert _share_below("tpe", _halves(bad, GOOD)) < 0.2
    assert _share_below("tpe", _halves(GOOD, bad)) > 0.8


def test_tpe_stays_away_from_what_runs() -> None:
    running = {"outcome": None, "ended": None, "epochs": None}
    assert _share_below("tpe", _halves(running, GOOD)) < 0.35


def test_cmaes_moves_by_generations_in_the_order_of_endings() -> None:
    """Late trials of a generation that was told already change nothing."""
    spec = _study("cmaes")
    size = population(spec)
    assert size == 4 + math.floor(3 * math.log(3)) == 7
    values = [random_draw(spec, slot) for slot in range(3 * size)]
    told = [
        _past(spec, n, each, score=_accuracy(each), generation=0 if n < size else 1)
        for n, each in enumerate(values[: 2 * size - 1])
    ]
    before = LEARNING["cmaes"](spec, 50, 0, told)
    assert before.attributes == {GENERATION: 1}
    late = _past(spec, 99, values[-1], score=0.1, generation=0)
    assert LEARNING["cmaes"](spec, 50, 0, [*told, late]) == before
    early = _past(spec, 99, values[-1], score=0.1, generation=0, ended=-1)
    assert LEARNING["cmaes"](spec, 50, 0, [*told, early]) != before
    whole = [*told, _past(spec, 98, values[-2], score=0.2, generation=1)]
    assert LEARNING["cmaes"](spec, 50, 0, whole).attributes == {GENERATION: 2}


def test_cmaes_goes_where_its_generations_were_good() -> None:
    spec = _study("cmaes", space={"lr": {"log": [1e-4, 1.0]}, "dropout": {"uniform": [0.0, 0.8]}})
    size = population(spec)
    past: list[PastTrial] = []
    for slot in range(8 * size):
        drawn = LEARNING["cmaes"](spec, slot, 0, past)
        bad = drawn.values["lr"] > 0.01
        how = {"outcome": "failed"} if bad else {"score": 0.5 - drawn.values["dropout"] / 2}
        past.append(_past(spec, slot, drawn.values, generation=drawn.attributes[GENERATION], **how))
    first, last = past[:size], past[-2 * size :]
    assert sum(trial.infeasible for trial in last) <= size // 2
    assert median(t.configuration["dropout"] for t in last) < median(
        t.configuration["dropout"] for t in first
    )


def test_trials_outside_a_narrower_space_are_left_out() -> None:
    wide, narrow = _study("tpe"), _study("tpe", space={**NUMBERS, "lr": {"log": [1e-2, 1e-1]}})
    past = _ten(wide)
    inside = [trial for trial in past if 1e-2 <= trial.configuration["lr"] <= 1e-1]
    assert 0 < len(inside) < len(past)
    assert LEARNING["tpe"](narrow, 20, 0, past) == LEARNING["tpe"](narrow, 20, 0, inside)
