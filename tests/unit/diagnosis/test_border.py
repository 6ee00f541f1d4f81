from __future__ import annotations

import math
from typing import Any

import pytest
import scipy.stats

from hpo.diagnosis.border import border
from hpo.diagnosis.changes import apply_change

LR = "\n  lr: {log: [1.0e-4, 1.0e-2]}"


def test_border_the_best_at_the_upper_end_ask_for_more(make_study: Any) -> None:
    results = make_study(lambda values: 0.5 + 0.1 * math.log10(values["lr"]), space=LR)
    (finding,) = border(results)
    lrs = sorted(trial.values["lr"] for trial in results.trials)
    edge = 10 ** (-4 + 0.9 * 2)
    outer, top = sum(lr >= edge for lr in lrs), lrs[-6:]
    inside = sum(lr >= edge for lr in top)
    assert finding.message == (
        f"{inside} of the best 6 trials ({outer} of all 60) have lr 6.31e-3 or more, the upper end of its "
        "range: better values may lie beyond it"
    )
    chance = scipy.stats.hypergeom(60, outer, 6).sf(inside - 1)
    assert finding.evidence["p_value"] == pytest.approx(chance)
    # A third of two decades more.
    assert finding.remedy == "widen lr upwards, e.g. {log: [1e-4, 0.046]}"
    assert apply_change(results.spec, finding.change).space["lr"].bounds == (1e-4, 0.046)  # type: ignore[union-attr]


def test_border_the_best_at_the_lower_end(make_study: Any) -> None:
    (finding,) = border(make_study(lambda values: 0.5 - 0.1 * math.log10(values["lr"]), space=LR))
    assert "lr 1.58e-4 or less, the lower end" in finding.message
    assert finding.remedy == "widen lr downwards, e.g. {log: [2.2e-5, 0.01]}"


def test_border_a_best_inside_the_range_is_well_placed(make_study: Any) -> None:
    assert border(make_study(lambda values: 0.9 - 0.1 * abs(math.log10(values["lr"]) + 3), space=LR)) == []


def test_border_failures_are_not_best_trials(make_study: Any) -> None:
    def rule(values: Any) -> str | float:
        return 0.9 - 0.1 * abs(math.log10(values["lr"]) + 3) if values["lr"] < 6e-3 else "exploding_loss"

    assert border(make_study(rule, space=LR)) == []


def test_border_a_range_is_widened_within_the_limits_of_its_hyperparameter(make_study: Any) -> None:
    space = "\n  momentum: {uniform: [0.8, 0.96]}"
    results = make_study(lambda values: values["momentum"] - 0.5, space=space)
    (finding,) = border(results)
    # A third more would be 1.01, and momentum ends below 1: half-way to it.
    assert finding.change == {"space": {"momentum": {"uniform": [0.8, 0.98]}}}
    apply_change(results.spec, finding.change)


def test_border_a_range_that_ends_where_the_hyperparameter_ends_is_left(make_study: Any) -> None:
    assert (
        border(make_study(lambda values: 0.9 - values["dropout"], space="\n  dropout: {uniform: [0, 0.8]}"))
        == []
    )


def test_border_whole_numbers_stay_whole(make_study: Any) -> None:
    results = make_study(lambda values: values["width"] / 100, space="\n  width: {int: [4, 32]}", trials=80)
    (finding,) = border(results)
    assert "have width 30 or more" in finding.message
    assert finding.change == {"space": {"width": {"int": [4, 41]}}}


def test_border_a_change_that_the_loader_refuses_is_not_offered(make_study: Any) -> None:
    # A convnet has 20 convolutions at most.
    results = make_study(lambda values: values["depth"] / 100, space="\n  depth: {int: [2, 20]}", trials=80)
    assert border(results) == []


def test_border_a_study_too_small_for_a_verdict(make_study: Any) -> None:
    assert border(make_study(lambda values: 0.5 + 0.1 * math.log10(values["lr"]), space=LR, trials=8)) == []
