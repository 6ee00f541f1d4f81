"""Leases: one worker a slot at a time, and none after it lost its own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from sqlalchemy import select, text, update

from hpo.errors import LeaseLostError
from hpo.queue.leases import claim, release, release_dead_local, renew
from hpo.queue.slots import study_progress
from hpo.records import Outcome
from hpo.storage import identity
from hpo.storage.engine import writing
from hpo.storage.store import ResultsStore
from hpo.storage.tables import AttemptRow, SlotRow
from tests.database.conftest import Bench
from tests.helpers.local_worker import local_worker, namesake


def expire(store: ResultsStore, slot: int) -> None:
    with writing(store.engine) as connection:
        connection.execute(update(SlotRow).where(SlotRow.slot == slot).values(lease_until=1.0))


def slot_row(store: ResultsStore, slot: int) -> Any:
    with store.engine.connect() as connection:
        return connection.execute(select(SlotRow.__table__).where(SlotRow.slot == slot)).one()


def test_slots_are_claimed_from_the_lowest_and_each_once(bench: Bench) -> None:
    study_id = bench.register(trials=3)
    assert [bench.claim(study_id).slot for _ in range(3)] == [0, 1, 2]
    assert claim(bench.store, study_id, "host:1:0.00", 60.0) is None


def test_the_lease_ends_by_the_databases_clock(bench: Bench) -> None:
    study_id = bench.register()
    lease = bench.claim(study_id, seconds=60.0)
    now = {
        "sqlite": "SELECT CAST(strftime('%s', 'now') AS INTEGER)",
        "postgresql": "SELECT extract(epoch FROM clock_timestamp())",
    }
    with bench.store.engine.connect() as connection:
        seconds = connection.scalar(text(now[bench.store.engine.dialect.name]))
    assert slot_row(bench.store, lease.slot).lease_until == pytest.approx(float(seconds) + 60.0, abs=2.0)


def test_an_expired_lease_is_claimed_under_a_higher_token(bench: Bench) -> None:
    study_id = bench.register()
    first = bench.claim(study_id, "a:1:0.00")
    expire(bench.store, 0)
    second = bench.claim(study_id, "b:2:0.00")
    assert (second.slot, second.token) == (0, first.token + 1)
    assert slot_row(bench.store, 0).worker == "b:2:0.00"


def test_every_write_under_a_stale_token_is_refused(bench: Bench) -> None:
    study_id = bench.register()
    stale = bench.claim(study_id, "a:1:0.00")
    trial_id, number = bench.begin(stale)
    expire(bench.store, 0)
    fresh = bench.claim(study_id, "b:2:0.00")
    assert fresh.trial_id == trial_id
    store = bench.store
    writes = [
        lambda: renew(store, stale),
        lambda: release(store, stale),
        lambda: bench.begin(stale),
        lambda: store.begin_attempt(stale, trial_id, device="cpu", from_epoch=0),
        lambda: store.record_epoch(stale, trial_id, bench.record(1)),
        lambda: store.finish_trial(stale, trial_id, Outcome("complete", value=0.5)),
    ]
    for write in writes:
        with pytest.raises(LeaseLostError, match="slot 0 was taken over"):
            write()
    assert bench.begin(fresh) == (trial_id, number)
    store.finish_trial(fresh, trial_id, Outcome("pruned"))
    assert study_progress(store, study_id).pruned == 1


def test_an_expired_lease_holds_until_the_slot_is_claimed(bench: Bench) -> None:
    study_id = bench.register()
    lease = bench.claim(study_id)
    expire(bench.store, 0)
    renew(bench.store, lease)
    assert bench.claim(study_id).slot == 1


def test_a_released_slot_is_claimed_at_once_and_resumes_its_trial(bench: Bench) -> None:
    study_id = bench.register()
    lease = bench.claim(study_id)
    trial_id, _ = bench.begin(lease)
    bench.store.begin_attempt(lease, trial_id, device="cpu", from_epoch=0)
    bench.store.record_epoch(lease, trial_id, bench.record(1))
    release(bench.store, lease)
    with pytest.raises(LeaseLostError):
        renew(bench.store, lease)
    again = bench.claim(study_id, "b:2:0.00")
    assert (again.slot, again.trial_id, again.epoch) == (0, trial_id, 1)
    with bench.store.engine.connect() as connection:
        attempt = connection.execute(select(AttemptRow.__table__)).one()
    assert (attempt.outcome, attempt.from_epoch, attempt.to_epoch) == ("released", 0, 1)


def test_slots_of_dead_local_workers_come_back_and_no_others(bench: Bench) -> None:
    study_id = bench.register(trials=5)
    alive = identity.worker_id()
    with subprocess.Popen([sys.executable, "-c", "pass"]) as gone:
        gone.wait()
    # The pid of this very process, but of a process that started at another time.
    earlier = local_worker(os.getpid())
    for worker in (alive, local_worker(gone.pid), "elsewhere:1:1.00", earlier, namesake(gone.pid)):
        bench.claim(study_id, worker)
    assert release_dead_local(bench.store, study_id) == [1, 3]
    assert study_progress(bench.store, study_id).running == 3
    assert bench.claim(study_id).token == 2
