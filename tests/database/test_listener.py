"""Idle workers hear of what changes, once it is committed, on PostgreSQL; on SQLite they have to look."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import QueuePool, text

from hpo.errors import StudyChangedError
from hpo.maintenance.deletion import delete_study, find_deletable
from hpo.maintenance.transfer.exporting import export_study
from hpo.maintenance.transfer.importing import import_study
from hpo.queue import control
from hpo.queue.enqueue import enqueue
from hpo.queue.leases import release
from hpo.queue.listener import Wakeups
from hpo.queue.pausing import end_paused
from hpo.queue.slots import register_study
from hpo.records import Decision, Outcome, Rung
from hpo.signals import stop_on_signals
from hpo.stages.advance import advance
from hpo.storage.store import ResultsStore
from tests.database.conftest import Bench

pytestmark = pytest.mark.timeout(30)

LONG = 60.0
"""Seconds to wait for what is sure to come; longer than a test may take."""
DONE = Outcome("complete", value=0.5, verdict="healthy", best_epoch=1)
STAGES = [{"name": "a", "trials": 1}, {"name": "b", "trials": 2}]


@pytest.fixture
def wakeups(bench: Bench) -> Iterator[Wakeups]:
    """Those of another worker."""
    with ResultsStore(bench.store.url) as store:
        made = Wakeups(store.engine)
        yield made
        made.close()
        assert isinstance(store.engine.pool, QueuePool) and store.engine.pool.checkedout() == 0


def _submits(bench: Bench, *_: Any) -> None:
    bench.register("second")


def _resumes(bench: Bench, study_id: int, _: Any) -> None:
    control.resume(bench.store, study_id)


def _stops(bench: Bench, study_id: int, _: Any) -> None:
    control.stop(bench.store, study_id)


def _enqueues(bench: Bench, study_id: int, _: Any) -> None:
    enqueue(bench.store, study_id, {"lr": 0.5})


def _gives_back(bench: Bench, _: int, lease: Any) -> None:
    release(bench.store, lease)


def _ends_a_trial(bench: Bench, _: int, lease: Any) -> None:
    bench.store.finish_trial(lease, bench.begin(lease)[0], DONE)


def _judges(bench: Bench, _: int, lease: Any) -> None:
    trial_id, _ = bench.begin(lease)
    bench.store.judge(lease, trial_id, Rung(1, 3, 0, 0.5), lambda at: Decision("goes_on", "alone"))


def _pauses(bench: Bench, _: int, lease: Any) -> None:
    bench.store.pause_trial(lease, bench.begin(lease)[0], DONE)


def _deletes(bench: Bench, *_: Any) -> None:
    found = find_deletable(bench.store.engine, "first")
    delete_study(bench.store, found, force=True)


CHANGES = [_submits, _resumes, _stops, _enqueues, _gives_back, _ends_a_trial, _judges, _pauses, _deletes]


@pytest.mark.parametrize("change", CHANGES)
def test_an_idle_worker_is_notified_of_each_change(
    bench: Bench, wakeups: Wakeups, change: Callable[..., None]
) -> None:
    study_id = bench.register()
    lease = bench.claim(study_id)
    tells = bench.store.engine.dialect.name == "postgresql"
    assert wakeups.listen() == tells == wakeups.listens
    assert not wakeups.listen()  # it does already
    assert not wakeups.wait(0)
    change(bench, study_id, lease)
    assert wakeups.wait(LONG if tells else 0) == tells
    assert not wakeups.wait(0)  # once


@pytest.mark.parametrize(
    "storage_url", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True
)
class TestOnPostgreSQL:
    def test_the_next_stage_and_an_imported_study_are_heard_of(
        self, bench: Bench, wakeups: Wakeups, tmp_path: Any
    ) -> None:
        staged = bench.register("staged", trials=3, stages=STAGES)
        bench.trial(staged, DONE, (0.5,))
        with (tmp_path / "staged.zip").open("wb") as file:
            export_study(bench.store.url, "staged", file)
        wakeups.listen()
        advance(bench.store, "staged")
        assert wakeups.wait(LONG)
        import_study(bench.store.url, tmp_path / "staged.zip", "other")
        assert wakeups.wait(LONG)

    def test_a_paused_trial_that_is_ended_is_heard_of(self, bench: Bench, wakeups: Wakeups) -> None:
        study_id = bench.register(trials=1)
        lease = bench.claim(study_id)
        trial_id, _ = bench.begin(lease)
        bench.store.begin_attempt(lease, trial_id, device="cpu", from_epoch=0)
        bench.store.judge(lease, trial_id, Rung(1, 3, 0, 0.5), lambda at: Decision("paused", "behind"))
        bench.store.pause_trial(lease, trial_id, DONE)
        wakeups.listen()
        stopped = Decision("stopped", "behind")
        assert end_paused(bench.store, study_id, "main", lambda paused, last: None, lambda paused: stopped)
        assert wakeups.wait(LONG)

    def test_nothing_is_heard_of_what_is_not_committed(self, bench: Bench, wakeups: Wakeups) -> None:
        bench.register()
        wakeups.listen()
        with pytest.raises(StudyChangedError):
            register_study(bench.store, bench.spec(seed=9), bench.images)
        assert not wakeups.wait(0.1)

    def test_training_worker_does_not_listen_and_keeps_its_connections(self, bench: Bench) -> None:
        """What it does not read would fill the server's memory."""
        wakeups = Wakeups(bench.store.engine)
        wakeups.listen()
        pool = bench.store.engine.pool
        assert isinstance(pool, QueuePool) and pool.checkedout() == 1
        state = "SELECT state FROM pg_stat_activity WHERE query = 'LISTEN hpo_work'"
        with psycopg.connect(bench.store.url) as other:
            assert other.execute(state).fetchall() == [("idle",)]  # no transaction is open
        wakeups.close()
        assert not wakeups.listens and pool.checkedout() == 0
        channels = "SELECT count(*) FROM pg_listening_channels()"
        with bench.store.engine.connect() as first, bench.store.engine.connect() as second:
            assert [each.scalar(text(channels)) for each in (first, second)] == [0, 0]

    def test_a_lost_connection_is_a_reason_to_look_and_to_listen_again(
        self, bench: Bench, wakeups: Wakeups
    ) -> None:
        wakeups.listen()
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'LISTEN hpo_work'"
        with psycopg.connect(bench.store.url) as other:
            assert other.execute(end).fetchall() == [(True,)]
        assert wakeups.wait(LONG)
        assert not wakeups.listens
        assert wakeups.listen()
        bench.register("late")
        assert wakeups.wait(LONG)


@pytest.mark.parametrize("listening", [False, True])
def test_a_signal_ends_the_waiting(bench: Bench, wakeups: Wakeups, listening: bool) -> None:
    if listening:
        wakeups.listen()
    with stop_on_signals() as stop:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
        assert not wakeups.wait(LONG)
        assert stop.signum == signal.SIGTERM
