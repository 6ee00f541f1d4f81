from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.diagnosis.conditions import Condition, TrialTable, choices, short_between, thresholds


@pytest.mark.parametrize(
    ("low", "high", "log", "short"),
    [
        (0.1176, 0.1544, True, 0.13),
        (0.0302, 0.2227, True, 0.08),
        (1e-4, 2e-3, True, 4e-4),
        (4.0, 6.0, False, 5.0),
    ],
)
def test_conditions_threshold_has_the_fewest_digits_that_separate(
    low: float, high: float, log: bool, short: float
) -> None:
    assert short_between(low, high, log) == short


@given(st.floats(1e-9, 1e9), st.floats(1e-9, 1e9), st.booleans())
def test_conditions_a_threshold_lies_between(one: float, other: float, log: bool) -> None:
    low, high = sorted((one, other))
    if high > low * (1 + 1e-12):
        assert low < short_between(low, high, log) < high


def test_conditions_thresholds_split_the_trials_in_every_way(make_study: Any) -> None:
    results = make_study(lambda values: 0.5, trials=12)
    table = TrialTable.of(results)
    for name in ("lr", "weight_decay"):
        values = [trial.values[name] for trial in results.trials]
        splits = {
            tuple(table.holding(each)) for each in thresholds(results.spec.space, table) if each.name == name
        }
        above = {tuple(value > cut for value in values) for cut in sorted(values)[:-1]}
        below = {tuple(value < cut for value in values) for cut in sorted(values)[1:]}
        assert splits == above | below


def test_conditions_thresholds_of_whole_numbers_are_whole(make_study: Any) -> None:
    results = make_study(lambda values: 0.5, trials=40, space="\n  depth: {int: [3, 5]}")
    found = {str(each) for each in thresholds(results.spec.space, TrialTable.of(results))}
    assert found == {"depth above 3", "depth above 4", "depth below 4", "depth below 5"}


def test_a_condition_holds_only_where_its_hyperparameter_has_an_effect(make_study: Any) -> None:
    results = make_study(lambda values: 0.5, trials=40)
    table = TrialTable.of(results)
    momentum = Condition("momentum", "above", 0.5)
    is_sgd = [trial.values["optimizer"] == "sgd" for trial in results.trials]
    assert list(table.holding(momentum)) == list(table.having(momentum)) == is_sgd
    both = table.holding_all([momentum, Condition("activation", "is", "elu")])
    assert list(both) == [
        sgd and trial.values["activation"] == "elu" for sgd, trial in zip(is_sgd, results.trials, strict=True)
    ]


def test_conditions_choices_are_those_of_the_space(make_study: Any) -> None:
    space = (
        "\n  nesterov: {choice: [true, false]}\n  gradient_clip: {choice: [none, 1.0]}\n  lr: {log: [0.1, 1]}"
    )
    found = choices(make_study(lambda values: 0.5, trials=1, space=space).spec.space)
    assert [str(each) for each in found] == [
        "nesterov true", "nesterov false", "gradient_clip null", "gradient_clip 1",
    ]  # fmt: skip
