"""Planted structure is found and worded; what chance makes is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import scipy.stats

from hpo.diagnosis.changes import apply_change
from hpo.diagnosis.conditions import TrialTable
from hpo.diagnosis.failures import failures


def explodes_above(threshold: float) -> Any:
    return lambda values: "exploding_loss" if values["lr"] > threshold else 0.5 - 0.1 * values["lr"]


def test_failures_a_threshold_is_found_and_worded(make_study: Any) -> None:
    results = make_study(explodes_above(0.12))
    (finding,) = failures(results, TrialTable.of(results))
    lrs = [trial.values["lr"] for trial in results.trials]
    many = sum(lr > 0.12 for lr in lrs)
    (condition,) = finding.evidence["where"]
    assert max(lr for lr in lrs if lr < 0.12) < condition["above"] < min(lr for lr in lrs if lr > 0.12)
    shown = f"{condition['above']:g}"
    assert finding.message == f"lr above {shown}: {many} of {many} exploded; elsewhere 0 of {60 - many}"
    assert finding.severity == "warn"
    expected = scipy.stats.fisher_exact([[many, 0], [0, 60 - many]], alternative="greater").pvalue
    assert finding.evidence["p_value"] == pytest.approx(expected)
    assert finding.evidence["p_value"] < finding.evidence["p_limit"]
    assert finding.remedy == f"narrow lr to {{log: [1e-4, {shown}]}}"
    narrowed = apply_change(results.spec, finding.change)
    assert narrowed.space["lr"].bounds == (1e-4, condition["above"])  # type: ignore[union-attr]
    assert {**narrowed.space, "lr": None} == {**results.spec.space, "lr": None}


def test_failures_exceptions_do_not_hide_the_rule(make_study: Any) -> None:
    def rule(values: Any) -> str | float:
        survives = int(values["lr"] * 1e9) % 5 == 0
        return 0.2 if survives else explodes_above(0.12)(values)

    results = make_study(rule)
    (finding,) = failures(results, TrialTable.of(results))
    above = [trial.cause for trial in results.trials if trial.values["lr"] > 0.12]
    assert 0 < above.count("healthy") < 5
    assert finding.message.startswith("lr above 0.1")
    assert f": {above.count('exploding_loss')} of {len(above)} exploded; elsewhere 0 of" in finding.message


def test_failures_a_choice_is_found_and_left_out(make_study: Any) -> None:
    results = make_study(lambda values: "error" if values["optimizer"] == "sgd" else 0.5)
    (finding,) = failures(results, TrialTable.of(results))
    assert finding.message.startswith("optimizer sgd: ")
    assert "ended in an error; elsewhere 0 of" in finding.message
    assert finding.remedy == "fix optimizer at adam"
    # What is drawn only with sgd goes too: the loader would refuse it.
    assert finding.change == {"fixed": {"optimizer": "adam"}, "space": {"optimizer": None, "momentum": None}}
    changed = apply_change(results.spec, finding.change)
    assert "momentum" not in changed.space and changed.fixed == {"optimizer": "adam"}


def test_failures_two_conditions_are_found_together(make_study: Any) -> None:
    def rule(values: Any) -> str | float:
        return "exploding_loss" if values["lr"] > 0.02 and values["optimizer"] == "adam" else 0.5

    results = make_study(rule)
    (finding,) = failures(results, TrialTable.of(results))
    first, second = sorted(finding.evidence["where"], key=lambda each: each["name"])
    assert first["name"] == "lr" and 0.01 < first["above"] < 0.03
    assert second == {"name": "optimizer", "is": "adam"}
    assert finding.evidence["hits"] == finding.evidence["trials"]
    assert finding.evidence["hits_elsewhere"] == 0


def test_two_numbers_are_found_together_where_neither_alone_would_do(make_study: Any) -> None:
    def rule(values: Any) -> str | float:
        return "exploding_loss" if values["lr"] > 0.05 and values["weight_decay"] > 1e-3 else 0.5

    results = make_study(rule, trials=120)
    (finding,) = failures(results, TrialTable.of(results))
    found = {each["name"]: each["above"] for each in finding.evidence["where"]}
    assert 0.03 < found["lr"] < 0.08 and 5e-4 < found["weight_decay"] < 2e-3
    assert finding.evidence["hits"] == finding.evidence["trials"]


def test_conditional_hyperparameters_are_compared_where_they_apply(make_study: Any) -> None:
    results = make_study(
        lambda values: "exploding_loss" if values.get("momentum", 0) > 0.95 else 0.5, trials=120
    )
    (finding,) = failures(results, TrialTable.of(results))
    assert finding.message.startswith("momentum above 0.9")
    sgd = [trial for trial in results.trials if "momentum" in trial.values]
    high = sum(trial.values["momentum"] > 0.95 for trial in sgd)
    expected = scipy.stats.fisher_exact([[high, 0], [0, len(sgd) - high]], alternative="greater").pvalue
    assert finding.evidence["p_value"] == pytest.approx(expected)


def test_failures_each_cause_has_its_own_place(make_study: Any) -> None:
    def rule(values: Any) -> str | float:
        if values["lr"] < 1e-3:
            return "not_learning"
        return explodes_above(0.12)(values)

    results = make_study(rule)
    found = failures(results, TrialTable.of(results))
    assert {finding.evidence["cause"]: list(finding.evidence["where"][0]) for finding in found[:2]} == {
        "exploding_loss": ["name", "above"],
        "not_learning": ["name", "below"],
    }


def test_failures_nothing_is_reported_on_thin_evidence(make_study: Any) -> None:
    results = make_study(explodes_above(0.12), trials=8)
    assert sum(trial.cause == "exploding_loss" for trial in results.trials) == 2
    assert failures(results, TrialTable.of(results)) == []


def test_failures_a_remedy_never_cuts_off_the_best(make_study: Any) -> None:
    def rule(values: Any) -> str | float:
        survives = int(values["lr"] * 1e9) % 5 == 0
        return 0.9 if values["lr"] > 0.12 and survives else explodes_above(0.12)(values)

    results = make_study(rule)
    assert results.top[0].value == 0.9
    (finding,) = failures(results, TrialTable.of(results))
    assert finding.message.startswith("lr above 0.1")
    assert (finding.remedy, finding.change) == ("", {})


def test_failures_a_cause_of_trials_that_learned_is_a_note(make_study: Any) -> None:
    results = make_study(lambda values: 0.5)
    trials = tuple(
        replace(trial, cause="overfitting") if trial.values["weight_decay"] < 1e-4 else trial
        for trial in results.trials
    )
    results = replace(results, trials=trials)
    (finding,) = failures(results, TrialTable.of(results))
    assert finding.severity == "note"
    assert finding.message.startswith("weight_decay below 1e-4: ")


def test_among_thousands_of_trials_the_best_of_certain_thresholds_is_found(make_study: Any) -> None:
    # The p-values of many thresholds are below the smallest float.
    results = make_study(explodes_above(0.2), trials=4000)
    (finding,) = failures(results, TrialTable.of(results))
    assert finding.evidence["p_value"] == 0.0
    assert 0.18 < finding.evidence["where"][0]["above"] < 0.22
