from __future__ import annotations

from typing import Any

import pytest
import scipy.stats

from hpo.diagnosis.base import ALPHA
from hpo.diagnosis.changes import apply_change
from hpo.diagnosis.conditions import TrialTable
from hpo.diagnosis.failing_choices import never_works


def found(results: Any) -> list[Any]:
    return never_works(results, TrialTable.of(results))


def sigmoid_needs_batch_norm(values: Any) -> str | float:
    stuck = values["activation"] == "sigmoid" and values["batch_norm"] == "none"
    return "not_learning" if stuck or values["lr"] > 0.5 else 0.4 if values["activation"] == "elu" else 0.3


def test_failing_choices_a_pair_that_never_learned(make_study: Any) -> None:
    results = make_study(sigmoid_needs_batch_norm, trials=90)
    (finding,) = found(results)
    stuck = [
        trial for trial in results.trials
        if (trial.values["activation"], trial.values["batch_norm"]) == ("sigmoid", "none")
    ]  # fmt: skip
    failed = sum(trial.cause != "healthy" for trial in results.trials)
    assert finding.message == (
        f"activation sigmoid with batch_norm none: 0 of {len(stuck)} learned; "
        f"elsewhere {90 - failed} of {90 - len(stuck)}"
    )
    # All of the stuck trials among the failed ones, if the failed ones were any.
    chance = scipy.stats.hypergeom(90, failed, len(stuck)).pmf(len(stuck))
    assert finding.evidence["p_value"] == pytest.approx(chance)
    # elu is best, without batch norm too: only sigmoid can go.
    assert finding.remedy == "remove sigmoid from activation"
    changed = apply_change(results.spec, finding.change)
    assert changed.space["activation"].choice == ["relu", "elu", "tanh"]  # type: ignore[union-attr]


def test_a_choice_that_never_learned_is_not_repeated_in_pairs(make_study: Any) -> None:
    results = make_study(lambda values: "not_learning" if values["initializer"] == "small_gaussian" else 0.4)
    (finding,) = found(results)
    assert finding.message.startswith("initializer small_gaussian: 0 of ")
    assert finding.remedy == "remove small_gaussian from initializer"


def test_failing_choices_a_pair_is_not_blamed_for_what_one_of_it_does(make_study: Any) -> None:
    def rule(values: Any) -> str | float:
        lucky = int(values["lr"] * 1e9) % 8 == 0
        return 0.4 if values["batch_norm"] != "none" or lucky else "not_learning"

    assert found(make_study(rule, trials=120)) == []


def test_failing_choices_none_of_a_few_is_not_news(make_study: Any) -> None:
    results = make_study(sigmoid_needs_batch_norm, trials=20)
    assert sum(trial.cause != "healthy" for trial in results.trials) == 5
    assert found(results) == []


def test_failing_choices_none_of_many_is_not_news_where_most_fail(make_study: Any) -> None:
    def rule(values: Any) -> str | float:
        return 0.4 if values["activation"] != "sigmoid" and values["lr"] < 2e-3 else "exploding_loss"

    results = make_study(rule)
    assert not any(str(finding.evidence["where"]).count("sigmoid") for finding in found(results))


def test_failing_choices_a_grid_with_three_seeds_is_enough(make_study: Any) -> None:
    space = """
  activation: {choice: [sigmoid, tanh, lecun_tanh, relu, leaky_relu, prelu, elu, selu, gelu, silu]}
  batch_norm: {choice: [none, before]}
"""
    results = make_study(
        lambda values: sigmoid_needs_batch_norm({**values, "lr": 0.1}), 60, space=space, head="sampler: grid"
    )
    (finding,) = found(results)
    assert finding.message == "activation sigmoid with batch_norm none: 0 of 3 learned; elsewhere 57 of 57"
    # The 20 pairs are tests; a single choice, with 6 trials or 30 of which 3 failed, could not be found.
    assert finding.evidence["p_limit"] == pytest.approx(ALPHA / 20)


def test_failing_choices_two_choices_that_are_best_apart_are_kept_apart(make_study: Any) -> None:
    def rule(values: Any) -> str | float:
        sigmoid, bare = values["activation"] == "sigmoid", values["batch_norm"] == "none"
        return "not_learning" if sigmoid and bare else 0.5 if sigmoid or bare else 0.3

    (finding,) = found(make_study(rule, trials=90))
    assert finding.remedy == (
        "search activation sigmoid and batch_norm none in separate studies: "
        "each is among the best without the other"
    )
    assert finding.change == {}
