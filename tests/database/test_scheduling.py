"""Which studies workers serve first, and which workers are there."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from hpo.queue import control, worker_registry
from hpo.queue.leases import release
from hpo.queue.scheduling import open_studies
from hpo.queue.slots import register_study
from hpo.queue.worker_registry import WorkerRegistration
from hpo.records import Outcome
from hpo.storage.column_types import epoch_now
from hpo.storage.tables import StudyRow, WorkerRow
from tests.database.conftest import Bench

DONE = Outcome("complete", value=0.5, verdict="healthy", best_epoch=1)


def _names(bench: Bench, *names: str) -> list[str]:
    return [each.name for each in open_studies(bench.store, names)]


def test_open_studies_are_ordered_by_priority_workers_and_age(bench: Bench) -> None:
    first, second = bench.register("first"), bench.register("second")
    register_study(bench.store, bench.spec("urgent"), bench.images, priority=5)
    register_study(bench.store, bench.spec("someday"), bench.images, priority=-1)
    assert _names(bench) == ["urgent", "first", "second", "someday"]
    lease = bench.claim(first)
    assert _names(bench) == ["urgent", "second", "first", "someday"]
    assert [each.at_work for each in open_studies(bench.store)] == [0, 0, 1, 0]
    bench.claim(second, "host:2:0.00")
    bench.claim(second, "host:3:0.00")
    assert _names(bench) == ["urgent", "first", "second", "someday"]
    release(bench.store, lease)
    assert _names(bench, "second", "someday", "nothing") == ["second", "someday"]


def test_submitting_again_keeps_the_priority_unless_another_is_given(bench: Bench) -> None:
    study_id = register_study(bench.store, bench.spec(), bench.images, priority=3)
    for given, expected in ((None, 3), (0, 0), (-2, -2)):
        assert register_study(bench.store, bench.spec(), bench.images, priority=given) == study_id
        assert [each.priority for each in open_studies(bench.store)] == [expected]


def test_finished_studies_are_not_served_and_stopped_ones_raise(bench: Bench) -> None:
    short, other = bench.register("short", trials=1), bench.register("other", needs=["gpu", "big"])
    bench.trial(short, DONE, (0.5,))
    assert _names(bench) == ["other"]
    control.stop(bench.store, other)
    (found,) = open_studies(bench.store)
    assert (found.stopped, found.needs, found.study_id) == (True, ("gpu", "big"), other)
    control.resume(bench.store, other)
    assert not open_studies(bench.store)[0].stopped


def test_a_study_between_two_stages_is_served(bench: Bench) -> None:
    stages = [{"name": "a", "trials": 1}, {"name": "b", "trials": 2}]
    study_id = bench.register("staged", trials=3, stages=stages)
    bench.trial(study_id, DONE, (0.5,))
    assert _names(bench) == ["staged"]  # stage b has not begun, and no slot is open


def test_a_study_with_other_settings_is_another(bench: Bench) -> None:
    bench.register("first", trials=3)
    (before,) = open_studies(bench.store)
    assert open_studies(bench.store)[0].identity == before.identity
    bench.register("first", trials=3, max_deaths=9)
    assert open_studies(bench.store)[0].identity != before.identity
    with bench.store.engine.begin() as connection:
        connection.execute(update(StudyRow).values(uid="another"))
    assert open_studies(bench.store)[0].identity[0] == "another"


def test_a_worker_is_listed_from_its_arrival_until_it_leaves(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = WorkerRegistration(
        bench.store, "host:1:0.00", device="cpu", tags=frozenset({"b", "a"}), studies=("s",)
    )
    other = WorkerRegistration(bench.store, "host:2:0.00", device="cuda:0")
    rows = {row.worker: row for row in bench.rows(WorkerRow)}
    assert rows["host:1:0.00"].tags == ["a", "b"] and rows["host:1:0.00"].studies == ["s"]
    assert rows["host:2:0.00"].device == "cuda:0" and rows["host:2:0.00"].tags == []
    with bench.store.engine.begin() as connection:
        connection.execute(update(WorkerRow).values(seen_at=epoch_now() - 3600))
    mine.heartbeat()  # too soon to say it again
    ages = {row.worker: row.seen_at for row in bench.rows(WorkerRow)}
    monkeypatch.setattr(worker_registry, "HEARTBEAT_SECONDS", 0.0)
    mine.heartbeat()
    (now,) = bench.rows(WorkerRow, worker="host:1:0.00")
    assert now.seen_at > ages["host:1:0.00"] + 3500
    assert bench.rows(WorkerRow, worker="host:2:0.00")[0].seen_at == ages["host:2:0.00"]
    other.deregister()
    assert [row.worker for row in bench.rows(WorkerRow)] == ["host:1:0.00"]


def test_workers_without_a_sign_for_a_day_are_forgotten(bench: Bench) -> None:
    WorkerRegistration(bench.store, "gone:1:0.00", device="cpu")
    WorkerRegistration(bench.store, "slow:1:0.00", device="cpu")
    with bench.store.engine.begin() as connection:
        for worker, hours in (("gone:1:0.00", 25), ("slow:1:0.00", 23)):
            seen = update(WorkerRow).where(WorkerRow.worker == worker)
            connection.execute(seen.values(seen_at=epoch_now() - hours * 3600))
    WorkerRegistration(bench.store, "new:1:0.00", device="cpu")
    assert sorted(row.worker for row in bench.rows(WorkerRow)) == ["new:1:0.00", "slow:1:0.00"]
