from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.stats

from hpo.diagnosis.base import StudyResults
from hpo.diagnosis.conditions import TrialTable
from hpo.diagnosis.interactions import Interaction, interactions


def found(results: StudyResults, alpha: float = 0.05) -> list[Interaction]:
    bad = np.array([results.failed(trial) for trial in results.trials], bool)
    return interactions(results, TrialTable.of(results), bad, alpha)


def dead_without_norm(values: Any) -> str | float:
    return "exploding_loss" if values["lr"] > 0.1 and values["batch_norm"] == "none" else 0.5


def test_interactions_what_is_bad_together_only_is_found_with_its_counts(make_study: Any) -> None:
    results = make_study(dead_without_norm, trials=150)
    (pair,) = found(results)
    names = {condition.name: condition for condition in pair.conditions}
    assert names["batch_norm"].value == "none" and names["lr"].kind == "above"
    dead = [trial for trial in results.trials if trial.cause == "exploding_loss"]
    alive = [t for t in results.trials if t not in dead and t.values["batch_norm"] == "none"]
    lrs = [max(t.values["lr"] for t in alive), min(t.values["lr"] for t in dead)]
    assert lrs[0] < names["lr"].value < lrs[1]
    assert (pair.both.bad, pair.both.trials) == (len(dead), len(dead))
    assert pair.first.bad == pair.second.bad == pair.neither.bad == 0
    assert sum(cell.trials for cell in (pair.both, pair.first, pair.second, pair.neither)) == 150


def test_interactions_the_p_value_is_the_larger_of_two_exact_tests(make_study: Any) -> None:
    def rule(values: Any) -> str | float:
        bad = values["optimizer"] == "sgd" and values["batch_norm"] == "none"
        return "exploding_loss" if bad and values["weight_decay"] > 1e-5 else 0.5

    space = "\n  optimizer: {choice: [sgd, adam]}\n  batch_norm: {choice: [none, before]}"
    space += "\n  weight_decay: {log: [1.0e-6, 1.0e-1]}"
    (pair, *_) = [
        each
        for each in found(make_study(rule, trials=120, space=space))
        if {condition.name for condition in each.conditions} == {"optimizer", "batch_norm"}
    ]
    expected = max(
        scipy.stats.fisher_exact(
            [[pair.both.bad, pair.both.trials - pair.both.bad], [other.bad, other.trials - other.bad]],
            alternative="greater",
        ).pvalue
        for other in (pair.first, pair.second)
    )
    assert pair.p_value == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(3))
def test_interactions_one_bad_setting_is_not_an_interaction(make_study: Any, seed: int) -> None:
    results = make_study(
        lambda values: "exploding_loss" if values["lr"] > 0.05 else 0.5, trials=150, seed=seed
    )
    assert found(results) == []


@pytest.mark.parametrize("seed", range(3))
def test_interactions_two_that_add_up_are_none_either(make_study: Any, seed: int) -> None:
    """Each alone costs 40 %, both 80 %."""

    def rule(values: Any) -> str | float:
        chance = 0.4 * (values["lr"] > 0.01) + 0.4 * (values["optimizer"] == "sgd")
        return "exploding_loss" if values["weight_decay"] * 1e9 % 1 < chance else 0.5

    assert found(make_study(rule, trials=300, seed=seed)) == []


def test_interactions_chance_finds_hardly_any(make_study: Any) -> None:
    """Of 40 studies whose failures are drawn by lot 5 % may speak: six at most."""
    spoke = 0
    for seed in range(40):
        lots = np.random.default_rng(seed)
        results = make_study(lambda values, lots=lots: "error" if lots.random() < 0.4 else 0.5, seed=seed)
        spoke += bool(found(results))
    assert spoke <= 6


def test_conditional_hyperparameters_are_compared_where_both_apply(make_study: Any) -> None:
    def rule(values: Any) -> str | float:
        return "exploding_loss" if values.get("momentum", 0) > 0.94 and values["lr"] > 0.01 else 0.5

    (pair,) = found(make_study(rule, trials=300))
    assert {condition.name for condition in pair.conditions} == {"lr", "momentum"}
    total = sum(cell.trials for cell in (pair.both, pair.first, pair.second, pair.neither))
    assert total < 200  # those with sgd
