"""Who is there, how a trial went, and what is left of a study that was deleted."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import inspect, text, update

from hpo.artifacts.store import study_folder
from hpo.errors import LeaseLostError, UnknownStudyError, UserError
from hpo.maintenance.deletion import delete_study, find_deletable
from hpo.queries.study import list_studies
from hpo.queries.trial import trial_log
from hpo.queries.workers import list_workers
from hpo.queue.leases import release, release_as_lost
from hpo.queue.worker_registry import WorkerRegistration
from hpo.records import Finding, Outcome
from hpo.settings import settings
from hpo.storage import attempts
from hpo.storage.column_types import epoch_now
from hpo.storage.studies import find_study
from hpo.storage.tables import AttemptRow, SlotRow, StudyRow, WorkerRow
from tests.database.conftest import Bench

DONE = Outcome("complete", value=0.5, verdict="healthy", best_epoch=1)
WORKER = "host:1:0.00"


def test_workers_are_listed_with_what_they_hold(bench: Bench) -> None:
    study_id = bench.register()
    WorkerRegistration(bench.store, "busy:1:0.00", device="cuda:0", tags=frozenset({"gpu"}))
    WorkerRegistration(bench.store, "idle:1:0.00", device="cpu", studies=("first",))
    with bench.store.engine.begin() as connection:
        connection.execute(update(WorkerRow).values(seen_at=epoch_now() - 100))
    bench.begin(bench.claim(study_id, "busy:1:0.00", seconds=60))
    bench.claim(study_id, "unknown:1:0.00", seconds=60)  # of a worker that never said that it is there
    with bench.store.engine.begin() as connection:
        theirs = update(SlotRow).where(SlotRow.worker == "unknown:1:0.00")
        connection.execute(theirs.values(lease_until=epoch_now() - 5, progress_at=epoch_now() - 65))
    busy, idle, unknown = list_workers(bench.store.engine)
    assert (busy.worker, busy.device, busy.tags, busy.study) == ("busy:1:0.00", "cuda:0", ("gpu",), "first")
    assert (busy.number, busy.serves) == (0, ())
    assert busy.lease_seconds_left is not None and 50 < busy.lease_seconds_left <= 60
    assert busy.silent_seconds < 30  # its trial is a sign, too
    assert (idle.study, idle.number, idle.serves, idle.lease_seconds_left) == (None, None, ("first",), None)
    assert 99 < idle.silent_seconds < 130
    assert (unknown.study, unknown.number, unknown.device) == ("first", None, None)
    assert unknown.lease_seconds_left is not None and unknown.lease_seconds_left < 0
    assert 64 < unknown.silent_seconds < 95


def _finding(check: str, epoch: int, severity: str = "warn") -> Finding:
    return Finding(check, severity, math.nan, math.nan, f"{check} was seen", step=10 * epoch, epoch=epoch)  # type: ignore[arg-type]


def test_a_log_shows_a_trial_in_the_order_of_time(bench: Bench) -> None:
    study_id = bench.register()
    first = bench.claim(study_id)
    trial_id, number = bench.begin(first)
    attempt = bench.store.begin_attempt(first, trial_id, device="cpu", from_epoch=0)
    early = [_finding("at_start", 0), _finding("fine", 0, "pass")]
    bench.store.record_findings(first, trial_id, early)
    bench.store.record_epoch(first, trial_id, bench.record(1, 0.25))
    bench.store.store_output(trial_id, attempt, "UserWarning: odd\n  at line 3")
    release(bench.store, first)
    second = bench.claim(study_id, "host:2:0.00")
    bench.store.begin_attempt(second, trial_id, device="cuda:0", from_epoch=1)
    bench.store.record_epoch(second, trial_id, bench.record(2, 0.5))
    bench.store.record_findings(second, trial_id, [_finding("late", 2)])
    failed = Outcome("failed", verdict="error: ValueError", error="Traceback ...\nValueError: no")
    bench.store.finish_trial(second, trial_id, failed)
    entries = trial_log(bench.store.engine, "first", number)
    assert [(each.kind, each.worker, each.text.splitlines()[0]) for each in entries] == [
        ("begun", "host:1:0.00", "attempt 1 starts on cpu"),
        ("finding", "host:1:0.00", "step 0 at_start: at_start was seen"),
        ("epoch", "host:1:0.00", "epoch 1: val_accuracy 0.2500, val_loss 1.6, train_loss 1.5, 2.0 s"),
        ("printed", "host:1:0.00", "UserWarning: odd"),
        ("ended", "host:1:0.00", "attempt 1 released after epoch 1"),
        ("begun", "host:2:0.00", "attempt 2 resumes after epoch 1 on cuda:0"),
        ("epoch", "host:2:0.00", "epoch 2: val_accuracy 0.5000, val_loss 1.6, train_loss 1.5, 2.0 s"),
        ("finding", "host:2:0.00", "step 20 late: late was seen"),
        ("ended", "host:2:0.00", "attempt 2 failed after epoch 2"),
        ("verdict", "host:2:0.00", "failed: error: ValueError"),
        ("error", "host:2:0.00", "Traceback ..."),
    ]
    times = [each.time for each in entries if each.time is not None]
    assert times == sorted(times) and len(times) == 8
    assert entries[1].severity == "warn"


def test_epochs_that_are_trained_again_are_logged_once_in_order(bench: Bench) -> None:
    study_id = bench.register()
    for worker in ("host:1:0.00", "host:2:0.00"):
        lease = bench.claim(study_id, worker)
        trial_id, number = bench.begin(lease)
        bench.store.begin_attempt(lease, trial_id, device="cpu", from_epoch=0)
        if worker == "host:2:0.00":  # it found no checkpoint
            bench.store.rewind(lease, trial_id, epoch=0, step=-1)
        bench.store.record_findings(lease, trial_id, [_finding("at_start", 0)])
        for epoch in (1, 2):
            bench.store.record_epoch(lease, trial_id, bench.record(epoch))
        if worker == "host:1:0.00":
            release_as_lost(bench.store, lease, "")
    bench.store.finish_trial(lease, trial_id, DONE)
    entries = trial_log(bench.store.engine, "first", number)
    assert [(each.kind, each.worker[5]) for each in entries] == [
        *(("begun", "1"), ("ended", "1"), ("begun", "2"), ("finding", "2")),
        *(("epoch", "2"), ("epoch", "2"), ("ended", "2"), ("verdict", "2")),
    ]
    times = [each.time for each in entries if each.time is not None]
    assert times == sorted(times) and len(times) == 6


def test_what_a_dead_worker_had_printed_is_kept_with_its_last_attempt(bench: Bench) -> None:
    study_id = bench.register()
    for _ in range(2):
        lease = bench.claim(study_id, WORKER)
        trial_id, _ = bench.begin(lease)
        bench.store.begin_attempt(lease, trial_id, device="cpu", from_epoch=0)
    for text_ in ("Killed: postgresql://a:secret@h/d", "told too late"):
        bench.store.write(partial(attempts.store_death, worker=WORKER, output=text_, cause=""))
    bench.store.write(lambda connection: attempts.store_death(connection, "another:1:0.00", "x", ""))
    outputs = {row.trial_id: row.output for row in bench.rows(AttemptRow)}
    assert [outputs[key] for key in sorted(outputs)] == [None, "Killed: postgresql://a:***@h/d"]


def test_a_deleted_study_leaves_nothing_and_others_stay(bench: Bench) -> None:
    study_id, other = bench.register("gone"), bench.register("stays")
    for each in (study_id, other):
        trial_id = bench.trial(each, DONE, (0.5, 0.25))
    found = find_deletable(bench.store.engine, "gone")
    checkpoints = settings().checkpoints.expanduser() / found.uid
    for folder in (checkpoints / "main-0", study_folder(found.uid)):
        folder.mkdir(parents=True)
        (folder / "weights").write_bytes(b"12345")
    found = find_deletable(bench.store.engine, "gone")
    assert (found.summary.done, found.at_work, found.bytes) == (1, 0, 10)
    assert set(found.folders) == {checkpoints, study_folder(found.uid)}
    delete_study(bench.store, found, force=False)
    assert [each.name for each in list_studies(bench.store.engine)] == ["stays"]
    assert not any(folder.exists() for folder in found.folders)
    tables = inspect(bench.store.engine).get_table_names()
    with bench.store.engine.connect() as connection:
        for table in tables:
            columns = {column["name"] for column in inspect(bench.store.engine).get_columns(table)}
            for column, value in (("study_id", study_id), ("trial_id", trial_id - 1)):
                if column in columns:
                    left = connection.execute(
                        text(f"SELECT count(*) FROM {table} WHERE {column} = :value"), {"value": value}
                    ).scalar_one()
                    assert left == 0, table
    assert len(bench.optuna_trials("stays")) == 1
    delete_study(bench.store, found, force=False)  # again: nothing is there, nothing happens
    with pytest.raises(UnknownStudyError):
        find_deletable(bench.store.engine, "gone")


def test_a_study_that_workers_hold_is_deleted_only_by_force(bench: Bench, tmp_path: Path) -> None:
    study_id = bench.register()
    lease = bench.claim(study_id)
    trial_id, _ = bench.begin(lease)
    found = find_deletable(bench.store.engine, "first")
    assert found.at_work == 1
    with pytest.raises(
        UserError, match=r"1 worker holds a trial of first: run `hpo stop first --wait` first"
    ):
        delete_study(bench.store, found, force=False)
    delete_study(bench.store, found, force=True)
    with pytest.raises(LeaseLostError):
        bench.store.record_epoch(lease, trial_id, bench.record(1))
    # Its successor may have its id, and hand out the same slot under the same token.
    again = bench.claim(bench.register(), "host:2:0.00")
    assert (again.slot, again.token) == (lease.slot, lease.token)
    with pytest.raises(LeaseLostError):
        bench.store.record_epoch(lease, trial_id, bench.record(1))
    assert len(bench.rows(StudyRow)) == 1


def test_priorities_are_reported(bench: Bench) -> None:
    bench.register()
    with bench.store.engine.begin() as connection:
        assert find_study(connection, "first").name == "first"
        connection.execute(update(StudyRow).values(priority=7))
    assert [each.priority for each in list_studies(bench.store.engine)] == [7]
