"""`hpo workers`, on a database with a running trial."""

from __future__ import annotations

from sqlalchemy import text

from hpo.queue.worker_registry import WorkerRegistration
from hpo.storage.identity import worker_id
from hpo.storage.store import ResultsStore
from tests.helpers.command_output import Capture, output_json, output_lines
from tests.helpers.local_worker import local_worker, namesake


def test_workers_lists_each_with_its_trial(own_demo: str, capsys: Capture) -> None:
    with ResultsStore(own_demo) as store:
        tags = frozenset({"gpu", "a100"})
        WorkerRegistration(store, "lab:7:1.00", device="cuda:0", tags=tags, studies=("demo",))
    heading, busy, idle = output_lines(capsys, "workers")
    assert heading.split()[:4] == ["worker", "state", "study", "trial"]
    assert busy.split()[:5] == ["host:1:w", "at", "work", "demo", "5"]
    assert idle.split()[:4] == ["lab:7:1.00", "idle", "–", "–"]
    assert idle.split()[5:] == ["s", "ago", "cuda:0", "a100,", "gpu", "demo"]
    assert [(each["worker"], each["state"]) for each in output_json(capsys, "workers")] == [
        ("host:1:w", "at work"),
        ("lab:7:1.00", "idle"),
    ]


def test_workers_here_exits_with_1_unless_one_is_alive(own_demo: str, capsys: Capture) -> None:
    assert output_lines(capsys, "workers", "--here", code=1) == [
        "no workers: `hpo worker` starts some, on any machine"
    ]
    with ResultsStore(own_demo) as store:
        WorkerRegistration(store, worker_id(), device="cpu", tags=frozenset(), studies=())
        assert [line.split()[1] for line in output_lines(capsys, "workers", "--here")[1:]] == ["idle"]
        with store.engine.begin() as connection:
            connection.execute(text("UPDATE hpo_worker SET seen_at = seen_at - 61"))
    assert [line.split()[1] for line in output_lines(capsys, "workers", "--here", code=1)[1:]] == ["silent"]


def test_workers_shows_one_that_cannot_be_seen_by_its_lease(own_demo: str, capsys: Capture) -> None:
    change = text("UPDATE hpo_slot SET worker = :worker WHERE state = 'running'")
    for worker, state in ((namesake(999999999), "at work"), (local_worker(999999999), "dead")):
        with ResultsStore(own_demo) as store, store.engine.begin() as connection:
            connection.execute(change, {"worker": worker})
        assert [each["state"] for each in output_json(capsys, "workers")] == [state]
