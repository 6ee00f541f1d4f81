"""Several processes on one database at once."""

from __future__ import annotations

import multiprocessing
from typing import Any

from sqlalchemy import inspect

from hpo.queue.identity import worker_id
from hpo.queue.leases import claim
from hpo.results import schema
from hpo.results.store import ResultsStore
from hpo.results.view_sql import VIEWS

PROCESSES = 4
SLOTS = 40
SECONDS = 120


def _work(url: str, meet: Any, study_id: Any, claims: Any) -> None:
    """Open the empty database together with the others, then claim slots until none is left."""
    meet.wait()
    with ResultsStore(url) as store:
        meet.wait()
        meet.wait()
        mine = []
        while lease := claim(store, study_id.value, worker_id(), 60.0):
            mine.append((lease.slot, lease.token))
        claims.put(mine)


def test_processes_upgrade_at_once_and_claim_no_slot_twice(empty_storage_url: str) -> None:
    # Each worker is a process of its own; the server that starts them has done the slow imports once.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["hpo.queue.leases"])
    meet, claims, study_id = context.Barrier(PROCESSES + 1), context.Queue(), context.Value("i")
    arguments = (empty_storage_url, meet, study_id, claims)
    workers = [context.Process(target=_work, args=arguments, daemon=True) for _ in range(PROCESSES)]
    for worker in workers:
        worker.start()
    meet.wait(SECONDS)
    # Everybody upgrades.
    meet.wait(SECONDS)
    with ResultsStore(empty_storage_url) as store:
        assert set(inspect(store.engine).get_view_names()) == set(VIEWS)
        study_id.value = _register(store)
        meet.wait(SECONDS)
        claimed = [claims.get(timeout=SECONDS) for _ in workers]
    for worker in workers:
        worker.join(SECONDS)
    assert [worker.exitcode for worker in workers] == [0] * PROCESSES
    assert sorted(slot for each in claimed for slot in each) == [(slot, 1) for slot in range(SLOTS)]
    schema.upgrade(empty_storage_url)


def _register(store: ResultsStore) -> int:
    from hpo.queue.slots import register_study
    from hpo.spec.study import StudySpec

    class Images:
        name, fingerprint, origin = "synthetic", "f" * 64, "drawn here"

    return register_study(store, StudySpec(study="many", trials=SLOTS), Images())
