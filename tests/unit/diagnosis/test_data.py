"""What all trials of a study share is judged once, with what all of them saw."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hpo.diagnosis.base import StudyResults, Suspicion
from hpo.diagnosis.data import DATA_CHECKS, data
from hpo.diagnosis.findings import study_findings


def suspecting(results: StudyResults, *values: float, check: str = "label_signal") -> StudyResults:
    """The first trials note a suspicion, with these values."""
    trials = list(results.trials)
    for number, value in enumerate(values):
        noted = Suspicion(check, value, f"what is learned does not hold ({value:.0%})", "prepare them alike")
        trials[number] = replace(trials[number], suspicions=(noted,))
    return replace(results, trials=tuple(trials))


def test_data_one_trial_accuses_nothing(make_study: Any) -> None:
    results = make_study(lambda values: 0.5, trials=6)
    assert data(suspecting(results, 0.11)) == [] == data(results)


def test_data_most_trials_accuse_it(make_study: Any) -> None:
    results = suspecting(make_study(lambda values: 0.5, trials=6), 0.11, 0.12, 0.1, 0.09)
    (found,) = data(results)
    assert found == study_findings(results)[0]
    assert found.severity == "warn" and found.remedy == "prepare them alike"
    assert found.message == "4 of 6 trials suspect the data they share: what is learned does not hold (11%)"
    assert found.evidence == {"check": "label_signal", "trials": [0, 1, 2, 3], "of": 6, "measurements": 4}


def test_data_half_of_the_trials_do_not_agree(make_study: Any) -> None:
    results = make_study(lambda values: 0.5, trials=6)
    assert data(suspecting(results, 0.11, 0.12, 0.1)) == []


def test_data_the_same_measurement_many_times_counts_once(make_study: Any) -> None:
    """Trials that look at the same examples see the same."""
    results = make_study(lambda values: 0.5, trials=6)
    assert data(suspecting(results, *[0.11] * 6)) == []
    assert data(suspecting(results, 0.11, 0.11, 0.11, 0.12, 0.12, 0.12)) == []


def test_data_trials_that_failed_are_not_asked(make_study: Any) -> None:
    results = make_study(lambda values: "error" if values["optimizer"] == "adam" else 0.5, trials=12)
    learned = [trial.number for trial in results.trials if trial.state == "complete"]
    assert 3 <= len(learned) < 12
    trials = [
        replace(trial, suspicions=(Suspicion(DATA_CHECKS[0], trial.number / 100, "differs", ""),))
        if trial.number in learned[: len(learned) // 2 + 1]
        else trial
        for trial in results.trials
    ]
    if len(learned) // 2 + 1 >= 3:
        (found,) = data(replace(results, trials=tuple(trials)))
        assert found.evidence["of"] == len(learned)
