from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from hpo.diagnosis.importance import importance, strongest


def test_effects_on_training_and_on_accuracy_are_separate(make_study: Any) -> None:
    def rule(values: Any) -> str | float:
        if values["lr"] > 0.1 and values["batch_norm"] == "none":
            return "exploding_loss"
        return 0.7 - 0.02 * (math.log10(values["weight_decay"]) + 3.5) ** 2

    trains, value = importance(make_study(rule, trials=200))
    assert (trains.question, trains.trials, value.question) == ("trains", 200, "value")
    assert set(trains.sure) == {"lr", "batch_norm"} and value.sure == ("weight_decay",)
    dead = trains.trials - trains.good
    assert value.trials == trains.good
    (pair,) = trains.interactions
    first, second = map(str, pair.conditions)
    assert {first.split()[0], second.split()[0]} == {"lr", "batch_norm"}
    assert trains.statements[-1] == (
        f"{first} with {second}: 0 of {dead} trained; {first} with another {second.split()[0]} "
        f"{pair.first.trials} of {pair.first.trials}, {second} with another {first.split()[0]} "
        f"{pair.second.trials} of {pair.second.trials}"
    )
    (said,) = value.statements
    share = value.effects[0].share
    assert share > 0.8
    assert said.startswith(
        f"weight_decay explains {share:.0%} of the variance of val_accuracy between trials that"
    )
    assert strongest([trains, value]) == [trains.statements[0], said]


def test_importance_settings_that_are_bad_together_lower_the_accuracy(make_study: Any) -> None:
    def is_bad(values: Any) -> bool:
        return bool(values["activation"] == "tanh" and values["batch_norm"] == "none")

    results = make_study(
        lambda values: 0.7 - 0.2 * is_bad(values) + 0.01 * (values["lr"] * 1e5 % 1), trials=250
    )
    (value,) = importance(results)
    hit = sum(is_bad(trial.values) for trial in results.trials)
    assert any(
        each.startswith(f"activation tanh with batch_norm none: {hit} of {hit} in the worst quarter; ")
        for each in value.statements
    )


def test_importance_of_a_conditional_parameter_counts_its_trials(make_study: Any) -> None:
    (value,) = importance(make_study(lambda values: 0.5 + values.get("momentum", 0.0), trials=100))
    count = next(each.trials for each in value.effects if each.name == "momentum")
    assert any(
        each.startswith(f"momentum (in the {count} trials compared) explains") for each in value.statements
    )


@pytest.mark.parametrize("trials", [0, 1, 5])
def test_importance_few_trials_report_nothing(make_study: Any, trials: int) -> None:
    results = make_study(lambda values: 0.5 + values["lr"], trials=10)
    few = type(results)(results.spec, results.trials[:trials], 10, 50_000)
    assert importance(few) == []


def test_importance_chance_shows_hardly_anything(make_study: Any) -> None:
    """Outcomes drawn by lot: at most 5 % of such studies may speak, of these 30 five at most."""
    spoke = 0
    for seed in range(30):
        lots = np.random.default_rng(seed)
        results = make_study(
            lambda values, lots=lots: "error" if lots.random() < 0.3 else 0.5 + 0.1 * lots.random(), seed=seed
        )
        spoke += any(answer.statements for answer in importance(results))
    assert spoke <= 5


def test_importance_the_same_trials_give_the_same_answers(make_study: Any) -> None:
    results = make_study(lambda values: 0.5 + 0.1 * (values["lr"] * 1e5 % 1))
    assert importance(results) == importance(results)
