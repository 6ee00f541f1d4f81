"""What the command line reads."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from hpo.errors import UnknownStudyError, UserError
from hpo.queries.study import leaderboard, list_studies, study_status
from hpo.queries.trial import trial_detail
from hpo.queue.leases import release
from hpo.records import Finding, Outcome, Remedy
from hpo.storage.engine import writing
from hpo.storage.studies import results_engine
from tests.database.conftest import Bench


@pytest.fixture
def engine(bench: Bench) -> Iterator[Engine]:
    opened = results_engine(bench.store.url)
    yield opened
    opened.dispose()


def test_studies_are_listed_with_their_counts(bench: Bench, engine: Engine) -> None:
    assert list_studies(engine) == []
    first = bench.register("first", trials=4)
    bench.register("second", trials=2)
    for outcome in (
        Outcome("complete", value=0.5),
        Outcome("complete", value=0.7),
        Outcome("pruned", value=0.9),
    ):
        bench.trial(first, outcome)
    listed = list_studies(engine)
    assert [(each.name, each.trials, each.done, each.waiting) for each in listed] == [
        ("first", 4, 3, 1),
        ("second", 2, 0, 2),
    ]
    assert (listed[0].complete, listed[0].pruned, listed[0].best_value) == (2, 1, 0.7)
    assert (listed[1].best_value, listed[1].dataset) == (None, "synthetic")


def test_study_status_names_the_best_trial_and_the_workers(bench: Bench, engine: Engine) -> None:
    study_id = bench.register(trials=4)
    bench.trial(study_id, Outcome("complete", value=0.5))
    bench.trial(study_id, Outcome("complete", value=0.5))
    lease = bench.claim(study_id, "a:1:0.00", seconds=60.0)
    trial_id, _ = bench.begin(lease)
    bench.store.record_epoch(lease, trial_id, bench.record(1))
    bench.claim(study_id, "b:2:0.00", seconds=-1.0)
    status = study_status(engine, "first")
    assert (status.summary.running, status.best_number) == (2, 0)
    first, second = status.work.workers
    assert (first.worker, first.slot, first.number, first.epoch) == ("a:1:0.00", 2, 2, 1)
    assert 50 < first.lease_seconds_left <= 60
    assert (second.worker, second.number) == ("b:2:0.00", None)
    assert second.lease_seconds_left < 0


def test_the_leaderboard_shows_what_was_searched(bench: Bench, engine: Engine) -> None:
    study_id = bench.register(trials=3)
    for value, lr in [(0.5, 0.1), (0.7, 0.2), (0.5, 0.3)]:
        bench.trial(study_id, Outcome("complete", value=value, best_epoch=1), (value,), lr=lr)
    first, second = leaderboard(engine, "first", 2)
    assert (first.rank, first.number, first.value, first.best_epoch, first.seconds) == (1, 1, 0.7, 1, 2.0)
    assert first.searched == {"lr": 0.2, "activation": "relu"}
    assert (second.rank, second.number) == (2, 0)
    assert [leader.rank for leader in leaderboard(engine, "first")] == [1, 2, 2]


def test_a_trials_detail_has_everything(bench: Bench, engine: Engine) -> None:
    study_id = bench.register()
    lease = bench.claim(study_id)
    trial_id, number = bench.begin(lease)
    bench.store.begin_attempt(lease, trial_id, device="cpu", from_epoch=0)
    finding = Finding(
        "exploding_loss", "fatal", math.nan, 3.0, "the loss is NaN", Remedy("lower lr"), step=40, epoch=1
    )
    bench.store.record_epoch(lease, trial_id, bench.record(1, 0.4, val_loss=math.nan))
    bench.store.record_findings(lease, trial_id, [finding])
    waiting = trial_detail(engine, "first", number)
    assert (waiting.state, waiting.value, waiting.ended_at) == ("running", None, None)
    release(bench.store, lease)
    assert trial_detail(engine, "first", number).state == "waiting"
    again = bench.claim(study_id)
    bench.store.begin_attempt(again, trial_id, device="cpu", from_epoch=1)
    outcome = Outcome("pruned", verdict="exploded", remedy="lower lr", best_epoch=1, parameters=10)
    bench.store.finish_trial(again, trial_id, outcome)
    detail = trial_detail(engine, "first", number)
    assert (detail.study, detail.number, detail.slot, detail.state) == ("first", 0, 0, "pruned")
    assert (detail.verdict, detail.remedy, detail.parameters) == ("exploded", "lower lr", 10)
    assert detail.searched == ("lr", "activation")
    assert (detail.configuration["lr"], detail.configuration["beta1"]) == (0.1, None)
    (point,) = detail.curve
    assert (point.epoch, point.val_accuracy, math.isnan(point.val_loss)) == (1, 0.4, True)
    (found,) = detail.findings
    assert (found.check, found.threshold, found.step) == ("exploding_loss", 3.0, 40)
    assert math.isnan(found.value)
    assert [(each.attempt, each.outcome) for each in detail.attempts] == [(1, "released"), (2, "pruned")]


def test_wrong_names_and_numbers_are_explained(bench: Bench, engine: Engine) -> None:
    with pytest.raises(UnknownStudyError, match="no study first in this database: it has none yet"):
        study_status(engine, "first")
    study_id = bench.register("first")
    bench.register("other")
    with pytest.raises(UnknownStudyError, match=r"did you mean first\? It has first, other"):
        leaderboard(engine, "frist")
    with pytest.raises(UserError, match="no trial 7: none has started yet"):
        trial_detail(engine, "first", 7)
    bench.trial(study_id, Outcome("pruned"))
    bench.trial(study_id, Outcome("pruned"))
    with pytest.raises(UserError, match="no trial 7: its trials are 0 to 1"):
        trial_detail(engine, "first", 7)


def test_the_reading_engine_cannot_write(engine: Engine) -> None:
    with pytest.raises(DBAPIError, match=r"(?i)read.?only"), writing(engine) as connection:
        connection.exec_driver_sql("DELETE FROM hpo_study")
