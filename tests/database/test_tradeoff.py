"""The second objective in SQL, the front of trade-offs, and trials beyond the limit: never the best."""

from __future__ import annotations

import math
from typing import Any

import pytest
from sqlalchemy import select, text

from hpo.checks.causes import BEYOND_LIMIT
from hpo.errors import UserError
from hpo.queries.failures import frequent_failure
from hpo.queries.saved_queries import run_query
from hpo.queries.study import best_leader, list_studies, study_overview, study_status
from hpo.queries.tradeoffs import study_tradeoffs
from hpo.queries.trial import trial_detail
from hpo.records import Outcome, reported_epoch
from hpo.reporting.notes import study_note
from hpo.search.history import TrialHistory
from hpo.storage.tables import StudyRow
from hpo.trial.export import default_trial
from tests.database.conftest import Bench

BEYOND = Outcome("pruned", verdict="beyond the limit: 9 milliseconds", cause=BEYOND_LIMIT, milliseconds=9.0)


def complete(value: float, **changes: Any) -> Outcome:
    return Outcome("complete", value=value, best_epoch=1, cause="healthy", **changes)


def front(bench: Bench) -> list[tuple[int, float, float]]:
    found = study_tradeoffs(bench.store.engine, "first")
    assert found is not None
    return [(each.number, each.amount, each.value) for each in found.front]


def test_the_front_has_what_no_trial_beats_in_both(bench: Bench) -> None:
    study = bench.register(trials=8, tradeoff="milliseconds", limit={"milliseconds": 5.0})
    amounts = [(0.9, 4.0), (0.8, 2.0), (0.7, 3.0), (0.8, 2.0), (0.95, 4.0), (0.5, 1.0)]
    for value, milliseconds in amounts:
        bench.trial(study, complete(value, milliseconds=milliseconds), (value,))
    bench.trial(study, complete(0.99), (0.99,))
    bench.trial(study, BEYOND)
    assert front(bench) == [(5, 1.0, 0.5), (1, 2.0, 0.8), (4, 4.0, 0.95)]
    _, rows = run_query(bench.store.url, "front", {"study": "first"})
    assert [row[0] for row in rows] == [5, 1, 4]
    with bench.store.engine.connect() as connection:
        unknown = connection.execute(
            text("SELECT number, amount, on_front FROM tradeoffs WHERE amount IS NULL")
        ).all()
        measured = connection.scalar(text("SELECT milliseconds FROM results WHERE number = 2"))
    assert [tuple(row) for row in unknown] == [(6, None, 0)]
    assert measured == trial_detail(bench.store.engine, "first", 2).milliseconds == 3.0


def test_more_may_be_better_and_lower_values_too(bench: Bench) -> None:
    study = bench.register(trials=4, tradeoff="images_per_second", objective="val_loss")
    for loss, rate in [(0.5, 100.0), (0.4, 50.0), (0.6, 50.0), (0.3, 25.0)]:
        lease = bench.claim(study)
        trial_id, _ = bench.begin(lease)
        bench.store.begin_attempt(lease, trial_id, device="cpu", from_epoch=0)
        bench.store.record_epoch(lease, trial_id, bench.record(1, images=100, seconds=100 / rate))
        bench.store.finish_trial(lease, trial_id, complete(loss))
    assert front(bench) == [(0, 100.0, 0.5), (1, 50.0, 0.4), (3, 25.0, 0.3)]


def test_an_own_training_reports_the_quantity_in_its_best_epoch(bench: Bench) -> None:
    bench.images = None
    study = bench.register(trials=2, trainer="a.b:c", fixed={}, space={"lr": {"log": [1e-4, 1.0]}},
                           objective="f1", tradeoff="latency_ms")  # fmt: skip
    for value, latency in [(0.5, 2.0), (0.4, 3.0)]:
        lease = bench.claim(study)
        trial_id, _ = bench.begin(lease)
        bench.store.begin_attempt(lease, trial_id, device="cpu", from_epoch=0)
        for epoch, factor in ((1, 1.0), (2, math.nan)):
            record = reported_epoch(epoch, {"f1": value, "latency_ms": latency * factor}, 1.0)
            bench.store.record_epoch(lease, trial_id, record)
        bench.store.finish_trial(lease, trial_id, complete(value))
    assert front(bench) == [(0, 2.0, 0.5)]


def test_a_study_without_a_second_objective_has_no_tradeoffs(bench: Bench) -> None:
    bench.trial(bench.register(), complete(0.5), (0.5,))
    assert study_tradeoffs(bench.store.engine, "first") is None
    with bench.store.engine.connect() as connection:
        assert connection.execute(text("SELECT * FROM tradeoffs")).all() == []
        assert connection.execute(select(StudyRow.tradeoff, StudyRow.tradeoff_direction)).one() == (
            None,
            None,
        )


def test_without_a_trial_within_the_limit_there_is_no_best(bench: Bench) -> None:
    study, engine = bench.register(trials=3, limit={"milliseconds": 5.0}), bench.store.engine
    bench.trial(study, BEYOND)
    status, found = study_status(engine, "first"), study_tradeoffs(engine, "first")
    assert (status.best_number, best_leader(engine, "first")) == (None, None)
    assert (status.summary.best_text, status.summary.failed) == ("none within limit", 0)
    assert found is not None
    words = "no trial is within the limit of at most 5 milliseconds for an image: 1 trial is beyond it"
    assert found.none_within == found.remark == words
    with pytest.raises(UserError, match=words):
        default_trial(engine, "first")
    assert words[1:] in study_note(study_overview(engine, "first"), [], 1, found)
    failure = frequent_failure(engine, "first")
    assert failure is not None and failure.state == "pruned"
    bench.trial(study, complete(0.25, milliseconds=4.0), (0.25,))
    found = study_tradeoffs(engine, "first")
    assert found is not None and found.none_within == ""
    assert (
        found.remark == "limit: at most 5 milliseconds for an image; 1 trial is beyond it, and never the best"
    )
    assert [each.best_text for each in list_studies(engine)] == ["0.2500"]
    states = [trial.state.name for trial in bench.optuna_trials()[:2]]
    assert states == ["PRUNED", "COMPLETE"]


def test_samplers_learn_that_it_is_not_feasible_and_queries_that_it_has_not_failed(bench: Bench) -> None:
    study = bench.register(limit={"milliseconds": 5.0})
    bench.trial(study, BEYOND)
    bench.trial(study, complete(0.5, milliseconds=1.0), (0.5,))
    past = TrialHistory(bench.store, study, "main").read()
    assert [trial.infeasible for trial in past] == [True, False]
    assert list(run_query(bench.store.url, "failure-causes", {"study": "first"})[1]) == []


def test_what_was_measured_is_kept_for_a_worker_that_resumes(bench: Bench) -> None:
    lease = bench.claim(bench.register(limit={"milliseconds": 5.0}))
    trial_id, _ = bench.begin(lease)
    assert bench.store.milliseconds_of(trial_id) is None
    bench.store.record_milliseconds(lease, trial_id, 2.5)
    assert bench.store.milliseconds_of(trial_id) == 2.5
