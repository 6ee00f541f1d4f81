from __future__ import annotations

from dataclasses import replace
from typing import Any

from hpo.diagnosis.cost import cost


def lasting(results: Any, failed: float, good: float) -> Any:
    """The same study with as many seconds for each trial that failed, and for each other."""
    trials = [replace(trial, seconds=failed if results.failed(trial) else good) for trial in results.trials]
    return replace(results, trials=tuple(trials))


def is_high(values: Any) -> str | float:
    return "exploding_loss" if values["lr"] > 0.1 else 0.5


def test_cost_the_share_of_time_that_failures_took(make_study: Any) -> None:
    results = make_study(is_high, trials=20)
    failed = sum(trial.values["lr"] > 0.1 for trial in results.trials)
    (finding,) = cost(lasting(results, 10.0, 10.0))
    assert finding.message == (
        f"{failed} of 20 trials failed or did not learn, and took {failed / 20:.0%} of the time"
    )
    assert (finding.severity, finding.evidence["seconds_failed"]) == ("note", failed * 10.0)


def test_cost_failures_that_were_stopped_at_once_cost_nothing_to_speak_of(make_study: Any) -> None:
    assert cost(lasting(make_study(is_high, trials=20), 0.1, 10.0)) == []


def test_cost_a_study_that_mostly_failed_is_warned_of(make_study: Any) -> None:
    (finding,) = cost(lasting(make_study(is_high, trials=20), 100.0, 1.0))
    assert finding.severity == "warn"


def test_cost_trials_at_chance_are_failures_whatever_their_verdict(make_study: Any) -> None:
    results = make_study(lambda values: 0.115 if values["lr"] > 0.1 else 0.5, trials=20)
    assert [finding.evidence["failed"] for finding in cost(results)] == [
        sum(trial.values["lr"] > 0.1 for trial in results.trials)
    ]


def test_cost_trials_that_the_search_ended_early_are_not_failures(make_study: Any) -> None:
    results = make_study(lambda values: 0.5, trials=20)
    trials = tuple(replace(trial, state="pruned", value=None) for trial in results.trials)
    assert cost(replace(results, trials=trials)) == []


def test_cost_nine_trials_are_too_few(make_study: Any) -> None:
    assert cost(make_study(lambda values: "error", trials=9)) == []
    assert cost(make_study(lambda values: "error", trials=10)) != []
