"""A lease held in the background: by time while there is progress, and no longer."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from sqlalchemy import select, update

from hpo.errors import LeaseLostError, StorageError
from hpo.queries.workers import study_workers
from hpo.queue import control, leases
from hpo.queue.lease_keeper import LeaseKeeper
from hpo.queue.leases import claim, release, release_hung
from hpo.signals import StudyStoppedError
from hpo.storage.attempts import Deaths
from hpo.storage.column_types import epoch_now
from hpo.storage.engine import writing
from hpo.storage.retry import DEFAULT_RETRY
from hpo.storage.store import ResultsStore
from hpo.storage.tables import AttemptRow, SlotRow
from tests.database.conftest import Bench


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def times(store: ResultsStore) -> tuple[float, float]:
    """How long the lease of slot 0 still lasts, and for how long its trial has been silent."""
    columns = select(SlotRow.lease_until - epoch_now(), epoch_now() - SlotRow.progress_at)
    with store.engine.connect() as connection:
        left, silent = connection.execute(columns.where(SlotRow.slot == 0)).one()
    assert left is not None and silent is not None
    return float(left), float(silent)


def began(bench: Bench, lease: Any) -> int:
    trial_id, _ = bench.begin(lease)
    bench.store.begin_attempt(lease, trial_id, device="cpu", from_epoch=0)
    return int(trial_id)


def set_back(store: ResultsStore, seconds: float) -> None:
    """As if the claim had been so long ago."""
    with writing(store.engine) as connection:
        connection.execute(update(SlotRow).values(lease_until=SlotRow.lease_until - seconds))


def test_it_renews_each_third_of_the_lease(bench: Bench, clock: Clock) -> None:
    lease = bench.claim(bench.register(), seconds=60.0)
    held = LeaseKeeper(bench.store, lease, 600.0, clock)
    set_back(bench.store, 19.0)
    clock.now += 19.0
    held.tick()
    assert times(bench.store)[0] == pytest.approx(41.0, abs=3)
    clock.now += 1.0
    held.tick()
    left, silent = times(bench.store)
    assert left == pytest.approx(60.0, abs=3)
    assert silent == pytest.approx(20.0, abs=3)
    held.heartbeat()
    clock.now += 20.0
    held.tick()
    assert times(bench.store)[1] == pytest.approx(20.0, abs=3)


def test_a_long_silence_below_the_limit_keeps_the_slot(bench: Bench, clock: Clock) -> None:
    """As while a large set is evaluated, or principal components are computed: ten leases long."""
    study_id = bench.register(trials=1)
    held = LeaseKeeper(bench.store, bench.claim(study_id, seconds=60.0), 600.0, clock)
    for _ in range(29):
        set_back(bench.store, 20.0)
        clock.now += 20.0
        held.tick()
        assert claim(bench.store, study_id, "b:2:0.00", 60.0) is None


def test_a_hanging_trial_loses_its_slot_and_the_next_worker_resumes_it(bench: Bench, clock: Clock) -> None:
    study_id = bench.register(trials=1)
    lease = bench.claim(study_id, "a:1:0.00", seconds=60.0)
    trial_id = began(bench, lease)
    held = LeaseKeeper(bench.store, lease, 600.0, clock)
    clock.now += 601.0
    with pytest.raises(LeaseLostError, match="slot 0 was released: no progress for 601 s"):
        held.tick()
    (attempt,) = bench.rows(AttemptRow)
    assert (attempt.outcome, attempt.ended_at is None) == ("hung", False)
    with pytest.raises(LeaseLostError):
        bench.store.record_epoch(lease, trial_id, bench.record(1))
    again = bench.claim(study_id, "b:2:0.00")
    assert (again.trial_id, again.token) == (trial_id, lease.token + 1)
    with bench.store.engine.connect() as connection:
        work = study_workers(connection, study_id)
    assert work.attempts == {"hung": 1} and work.workers[0].attempt == 1


def test_three_that_hang_in_one_epoch_count_as_deaths(bench: Bench, clock: Clock) -> None:
    study_id = bench.register(trials=1)
    for count in (1, 2, 3):
        lease = bench.claim(study_id, "a:1:0.00")
        trial_id = began(bench, lease)
        leases.release_as_hung(bench.store, lease, DEFAULT_RETRY)
        assert bench.store.deaths_in_a_row(trial_id) == Deaths(count, 1)


def test_what_a_killed_worker_held_is_given_back_as_hung(bench: Bench) -> None:
    study_id = bench.register(trials=2)
    for worker in ("a:1:0.00", "b:2:0.00"):
        began(bench, bench.claim(study_id, worker))
    release_hung(bench.store, "a:1:0.00")
    states = {row.slot: row.state for row in bench.rows(SlotRow)}
    assert states == {0: "waiting", 1: "running"}
    assert sorted(str(row.outcome) for row in bench.rows(AttemptRow)) == ["None", "hung"]


def _until(condition: Any) -> None:
    """Wait for what another thread does."""
    waiting = threading.Event()
    for _ in range(3000):
        if condition():
            return
        waiting.wait(0.01)
    raise AssertionError("it never came")


def test_the_thread_holds_the_lease_and_reports_when_it_is_lost(bench: Bench) -> None:
    study_id = bench.register(trials=1)
    lease = bench.claim(study_id, seconds=0.3)
    lease_end = bench.rows(SlotRow)[0].lease_until
    with LeaseKeeper(bench.store, lease, 600.0) as held:
        _until(lambda: bench.rows(SlotRow)[0].lease_until > lease_end + 0.5)  # renewed again and again
        held.raise_if_lost()
        with writing(bench.store.engine) as connection:
            connection.execute(update(SlotRow).values(token=SlotRow.token + 1))
        _until(lambda: _raises(held))
        with pytest.raises(LeaseLostError, match="slot 0 was taken over"):
            held.raise_if_lost()


def _raises(held: LeaseKeeper) -> bool:
    try:
        held.raise_if_lost()
    except LeaseLostError:
        return True
    return False


def test_a_database_that_is_away_ends_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    lease = bench.claim(bench.register(trials=1), seconds=0.3)
    asked: list[int] = []

    def away(*arguments: Any) -> None:
        asked.append(1)
        raise StorageError("no server")

    with LeaseKeeper(bench.store, lease, 600.0) as held:
        monkeypatch.setattr(bench.store, "read", away)
        _until(lambda: len(asked) >= 3)
        held.raise_if_lost()
        monkeypatch.undo()
        control.stop(bench.store, lease.study_id)
        _until(lambda: _stops(held))


def _stops(held: LeaseKeeper) -> bool:
    try:
        held.check_stop()
    except StudyStoppedError:
        return True
    return False


def test_the_thread_ends_with_the_trial(bench: Bench) -> None:
    lease = bench.claim(bench.register(trials=1))
    with LeaseKeeper(bench.store, lease, 600.0):
        pass
    assert "lease" not in {thread.name for thread in threading.enumerate()}
    release(bench.store, lease)


def test_a_stopped_study_gives_no_slots_until_it_is_resumed(bench: Bench) -> None:
    study_id, other = bench.register(), bench.register("other")
    assert control.stop(bench.store, study_id) and not control.stop(bench.store, study_id)
    with pytest.raises(StudyStoppedError):
        claim(bench.store, study_id, "a:1:0.00", 60.0)
    assert bench.claim(other).slot == 0
    assert control.resume(bench.store, study_id) and not control.resume(bench.store, study_id)
    assert bench.claim(study_id).slot == 0


def test_those_at_work_on_a_stopped_study_write_until_they_leave(bench: Bench) -> None:
    study_id = bench.register()
    lease = bench.claim(study_id)
    trial_id = began(bench, lease)
    control.stop(bench.store, study_id)
    assert control.at_work(bench.store, study_id) == 1
    bench.store.record_epoch(lease, trial_id, bench.record(1))
    release(bench.store, lease)
    assert control.at_work(bench.store, study_id) == 0
