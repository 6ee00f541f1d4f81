"""What ended most trials of a study badly."""

from __future__ import annotations

from hpo.queries.failures import FrequentFailure, frequent_failure
from hpo.records import Outcome
from tests.database.conftest import Bench


def _study(bench: Bench, *outcomes: Outcome) -> FrequentFailure | None:
    study_id = bench.register(trials=len(outcomes))
    for outcome in outcomes:
        bench.trial(study_id, outcome)
    return frequent_failure(bench.store.engine, "first")


COMPLETE = Outcome("complete", value=0.5, verdict="healthy")


def _failed(verdict: str) -> Outcome:
    return Outcome("failed", verdict=verdict)


def test_the_most_frequent_error_counts_verdicts_that_differ_in_numbers_as_one(bench: Bench) -> None:
    verdicts = ["error: KeyError", "error: bad shape (3, 4)", "error: bad shape (12, 4)"]
    found = _study(bench, COMPLETE, *map(_failed, verdicts))
    assert found == FrequentFailure("failed", 3, "error: bad shape (3, 4)", 2, 2)


def test_early_ends_count_only_if_no_trial_is_complete(bench: Bench) -> None:
    pruned = Outcome("pruned", verdict="exploded: loss 9.1")
    assert _study(bench, pruned, pruned) == FrequentFailure("pruned", 2, "exploded: loss 9.1", 2, 0)


def test_a_study_with_a_complete_trial_and_no_error_has_no_failure(bench: Bench) -> None:
    assert _study(bench, COMPLETE, Outcome("pruned", verdict="exploded")) is None
