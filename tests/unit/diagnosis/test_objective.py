"""Diagnosis of studies that minimize: what learned, what is best, and what is noise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from hpo.diagnosis.border import border
from hpo.diagnosis.effects import effects
from hpo.diagnosis.importance import importance
from hpo.diagnosis.noise import noise
from hpo.diagnosis.ped_anova import best_tenth_shares

LOSS = "objective: val_loss"


def _by_rate(values: Mapping[str, Any]) -> float:
    """A loss that falls with the learning rate, from 2 to 1."""
    return 1.0 - 0.25 * math.log10(values["lr"])


def test_ranked_has_the_lowest_losses_first(make_study: Any) -> None:
    results = make_study(_by_rate, head=LOSS)
    ranked = [trial.value for trial in results.ranked]
    assert ranked == sorted(ranked) and len(ranked) == 60
    assert min(ranked) == results.top[0].value


def test_a_loss_close_to_that_of_guessing_has_not_learned(make_study: Any) -> None:
    results = make_study(lambda values: 2.29 if values["lr"] < 0.01 else 2.27, head=LOSS)
    guessing = math.log(10)
    assert 0.99 * guessing == pytest.approx(2.2796, abs=1e-4)
    failed = [trial.value for trial in results.trials if results.failed(trial)]
    assert failed and set(failed) == {2.29}


def test_guessing_among_unequal_classes_has_a_lower_loss(make_study: Any) -> None:
    results = make_study(lambda values: 0.5, head=LOSS, classes=2, train_images=100, class_counts=(90, 10))
    # The entropy of nine in ten is 0.325 nats.
    assert all(results.failed(trial) for trial in results.trials)


def test_a_metric_of_unknown_chance_never_fails_a_complete_trial(make_study: Any) -> None:
    results = make_study(lambda values: 0.1)
    own = replace(results, spec=results.spec.model_copy(update={"objective": "recall"}))
    assert all(map(results.failed, results.trials)) and not any(map(own.failed, own.trials))


def test_the_border_of_a_minimized_loss_is_where_it_is_lowest(make_study: Any) -> None:
    (found,) = border(make_study(_by_rate, head=LOSS, space="\n  lr: {log: [1.0e-3, 0.1]}\n"))
    assert (found.evidence["name"], found.evidence["end"]) == ("lr", "upper")


def test_effects_of_a_loss_call_the_lowest_mean_the_best(make_study: Any) -> None:
    results = make_study(lambda values: 1.0 if values["activation"] == "tanh" else 1.5, head=LOSS)
    values = [trial.value or 0.0 for trial in results.trials]
    first = effects(results, results.trials, values, results.goal)[0]
    assert (first.name, first.best.label, first.best.mean, first.worst.mean) == (
        "activation",
        "tanh",
        1.0,
        1.5,
    )
    (answer,) = importance(results)
    assert "of the variance of val_loss between trials" in answer.statements[0]
    assert "mean 1.000 at tanh, 1.500 at" in answer.statements[0]
    shares = best_tenth_shares(results)
    assert max(shares, key=lambda name: shares[name]) == "activation"


def test_noise_of_a_loss_is_known_from_repeated_trials_only(make_study: Any) -> None:
    space = "\n  activation: {choice: [relu, tanh]}\n"
    drawn = make_study(lambda values: 1.0, trials=12, head=LOSS, space=space)
    single = replace(drawn, trials=tuple({t.values["activation"]: t for t in drawn.trials}.values()))
    assert len(single.trials) == 2 and noise(single) == []
    turns = {"relu": count(), "tanh": count()}
    base = {"relu": 1.01, "tanh": 1.0}
    spread = [
        replace(trial, value=base[name] + 0.1 * (next(turns[name]) % 3))
        for trial in drawn.trials
        for name in [trial.values["activation"]]
    ]
    (found,) = noise(replace(drawn, trials=tuple(spread)))
    assert "between seeds" in found.message and "validation image" not in found.message
    assert found.evidence["val_images"] is None
    assert found.evidence["lowest"] <= found.evidence["highest"]


@pytest.mark.parametrize(
    ("objective", "guessed", "learned"),
    [("balanced_accuracy", 0.54, 0.8), ("macro_f1", 0.54, 0.8), ("auc", 0.55, 0.8)],
)
def test_guessing_of_a_rare_class_is_by_the_objective(
    objective: str, guessed: float, learned: float, make_study: Any
) -> None:
    unequal: dict[str, Any] = {"classes": 2, "train_images": 13_000, "class_counts": (12_000, 1_000)}
    study = make_study(
        lambda values: guessed if values["lr"] < 0.01 else learned, head=f"objective: {objective}", **unequal
    )
    assert {trial.value for trial in study.trials if study.failed(trial)} == {guessed}
    assert {trial.value for trial in study.ranked} == {learned}
