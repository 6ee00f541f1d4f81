from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hpo.diagnosis.noise import noise

GRID = "\n  activation: {choice: [relu, elu, tanh, sigmoid]}"


def with_values(results: Any, accuracies: list[float]) -> Any:
    trials = [replace(trial, value=value) for trial, value in zip(results.trials, accuracies, strict=True)]
    return replace(results, trials=tuple(trials))


def test_noise_trials_within_the_binomial_error_are_ties(make_study: Any) -> None:
    results = with_values(make_study(lambda values: 0.5, trials=4), [0.50, 0.49, 0.481, 0.47])
    (finding,) = noise(results)
    # 5,000 images: the standard error is 0.0071, that of a difference 0.01.
    margin = 1.96 * math.sqrt(0.5 * 0.5 / 5000 + 0.481 * 0.519 / 5000)
    assert finding.message == (
        "the best 3 trials (0.5000 to 0.4810) cannot be distinguished: on 5,000 validation images, "
        f"differences up to {margin:.4f} are noise"
    )
    assert finding.evidence["trials"] == [[0], [1], [2]]
    assert (finding.severity, finding.evidence["seed_deviation"]) == ("note", None)


def test_noise_a_clear_winner_is_nothing_to_say(make_study: Any) -> None:
    assert noise(with_values(make_study(lambda values: 0.5, trials=3), [0.50, 0.47, 0.46])) == []


def test_noise_more_validation_images_distinguish_more(make_study: Any) -> None:
    accuracies = [0.50, 0.49, 0.48, 0.47]
    few = make_study(lambda values: 0.5, trials=4)
    many = make_study(lambda values: 0.5, trials=4, head="fixed: {val_fraction: 0.5}", train_images=500_000)
    assert noise(with_values(few, accuracies)) != []
    assert noise(with_values(many, accuracies)) == []


def test_noise_repeated_configurations_show_what_the_seed_does(make_study: Any) -> None:
    generator = np.random.default_rng(0)
    means = {"relu": 0.50, "elu": 0.49, "tanh": 0.30, "sigmoid": 0.20}
    results = make_study(lambda values: 0.5, trials=80, space=GRID, head="sampler: grid", train_images=10**7)
    accuracies = [means[trial.values["activation"]] + generator.normal(0, 0.03) for trial in results.trials]
    results = with_values(results, accuracies)
    (finding,) = noise(results)
    groups = [
        [value for trial, value in zip(results.trials, accuracies, strict=True)
         if trial.values["activation"] == name]
        for name in means
    ]  # fmt: skip
    pooled = math.sqrt(np.mean([np.var(group, ddof=1) for group in groups]))
    assert finding.evidence["seed_deviation"] == pytest.approx(pooled)
    assert finding.evidence["margin"] == pytest.approx(1.96 * pooled * math.sqrt(2 / 20), rel=0.02)
    assert f"and with {pooled:.4f} between seeds" in finding.message
    assert finding.message.startswith("the best 2 configurations (0.")


def test_noise_two_repeats_show_little_about_seeds(make_study: Any) -> None:
    results = make_study(lambda values: 0.5, trials=6, space=GRID, head="sampler: grid")
    (finding,) = noise(with_values(results, [0.50, 0.49, 0.3, 0.3, 0.45, 0.46]))
    assert finding.evidence["seed_deviation"] is None


def test_noise_nothing_is_reported_where_the_images_are_not_known(make_study: Any) -> None:
    assert noise(make_study(lambda values: 0.5, trials=4, train_images=None)) == []


def test_noise_nothing_is_reported_where_there_are_none(make_study: Any) -> None:
    assert noise(make_study(lambda values: 0.5, trials=4, train_images=4)) == []


def test_noise_trials_at_chance_are_not_compared(make_study: Any) -> None:
    assert noise(with_values(make_study(lambda values: 0.5, trials=4), [0.3, 0.1, 0.1, 0.1])) == []
