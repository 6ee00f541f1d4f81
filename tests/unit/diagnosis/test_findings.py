"""All checks together: what they say about planted structure, and about outcomes that mean nothing."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from typing import Any

import pytest

from hpo.diagnosis.changes import apply_change
from hpo.diagnosis.findings import study_findings

TESTS = ("failures", "never_works", "border")


def planted(values: Any) -> str | float:
    """A study as real ones are: what explodes, what does not learn, and accuracies that lr decides."""
    if values["lr"] > 0.2:
        return "exploding_loss"
    if values["initializer"] == "small_gaussian" and values["batch_norm"] == "none":
        return "not_learning"
    noise = (int(values["weight_decay"] * 1e12) % 1000) / 1000
    return 0.55 - 0.05 * abs(math.log10(values["lr"]) + 2) + 0.1 * noise


@pytest.mark.parametrize("seed", range(8))
def test_findings_planted_structure_is_found_whatever_the_draws(make_study: Any, seed: int) -> None:
    results = make_study(planted, trials=90, seed=seed)
    where = {
        finding.check: {(each["name"], next(key for key in each if key != "name")) for each in place}
        for finding in study_findings(results)
        if (place := finding.evidence.get("where"))
    }
    assert where["failures"] == {("lr", "above")}
    assert where["never_works"] == {("initializer", "is"), ("batch_norm", "is")}


def test_findings_shuffled_outcomes_mean_nothing(make_study: Any) -> None:
    """At most 5 % of 200 such studies may get a finding; about 0.5 % do."""
    results = make_study(planted)
    dealer = random.Random(0)
    alarms = 0
    for _ in range(200):
        values = [trial.values for trial in results.trials]
        dealer.shuffle(values)
        trials = [replace(trial, values=each) for trial, each in zip(results.trials, values, strict=True)]
        found = study_findings(replace(results, trials=tuple(trials)))
        alarms += any(finding.check in TESTS for finding in found)
    assert alarms <= 10


def test_findings_random_accuracies_alone_mean_nothing(make_study: Any) -> None:
    dealer = random.Random(1)
    alarms = 0
    for seed in range(50):
        found = study_findings(make_study(lambda _: dealer.uniform(0.3, 0.5), trials=40, seed=seed))
        alarms += any(finding.check in TESTS for finding in found)
    assert alarms <= 2


def test_findings_the_same_trials_in_another_order_report_the_same(make_study: Any) -> None:
    results = make_study(planted)
    shuffled = replace(results, trials=tuple(reversed(results.trials)))
    messages = [[each.message for each in study_findings(one)] for one in (results, shuffled)]
    assert messages[0] == messages[1]


def test_findings_a_finding_is_json_and_its_change_makes_a_valid_study(make_study: Any) -> None:
    results = make_study(planted, trials=90)
    found = study_findings(results)
    assert {finding.check for finding in found} >= {"failures", "never_works"}
    for finding in found:
        json.dumps([finding.evidence, finding.change], allow_nan=False)
        if finding.change:
            assert apply_change(results.spec, finding.change) != results.spec
        assert bool(finding.change) <= bool(finding.remedy)


def test_findings_a_choice_that_never_works_is_reported_once(make_study: Any) -> None:
    results = make_study(lambda values: "not_learning" if values["batch_norm"] == "none" else 0.4)
    assert [finding.check for finding in study_findings(results) if "batch_norm none" in finding.message] == [
        "never_works"
    ]


def test_failures_that_verdicts_call_by_different_names_are_found_together(make_study: Any) -> None:
    def rule(values: Any) -> str | float:
        causes = [
            "exploding_loss",
            "lr_too_high",
            "exploding_gradients",
            "not_learning",
            "bad_init",
            "dead_units",
        ]
        return causes[int(values["weight_decay"] * 1e12) % 6] if values["lr"] > 0.1 else 0.5

    results = make_study(rule)
    (finding,) = [each for each in study_findings(results) if each.check == "failures"]
    assert finding.evidence["cause"] == "any"
    assert (
        finding.message.startswith("lr above 0.1: 15 of 15 failed or did not learn")
        or "failed or did not learn" in finding.message
    )


def test_findings_a_study_without_trials_reports_nothing(make_study: Any) -> None:
    assert study_findings(replace(make_study(planted, trials=1), trials=())) == []
