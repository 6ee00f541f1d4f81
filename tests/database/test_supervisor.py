"""A supervisor over a pool in which a worker crashes while others idle."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from hpo.events import DatabaseAway, Event, WorkerLost
from hpo.queue.slots import study_progress
from hpo.signals import StopFlag
from hpo.workers.messages import Crashed, CrashReport, Exited
from hpo.workers.supervisor import Supervisor, WorkerEvents
from tests.database.conftest import Bench
from tests.helpers.local_worker import local_worker


def test_supervisor_releases_the_slot_of_a_crashed_worker_before_restart(bench: Bench) -> None:
    study_id = bench.register()
    with subprocess.Popen([sys.executable, "-c", "pass"]) as gone:
        gone.wait()
    dead = local_worker(gone.pid)
    bench.claim(study_id, dead)
    worker = SimpleNamespace(
        name="worker-1", identity=dead, hung=False, silent_seconds=lambda: 0.0,
        crash_report=lambda: CrashReport("killed", ""),
    )  # fmt: skip
    running: list[int] = []

    class Pool:
        count = 1

        def __init__(self) -> None:
            self.running: list[Any] = [worker]

        def start(self) -> None: ...
        def end(self) -> None: ...

        def poll(self, seconds: float) -> list[Any]:
            return [(worker, Crashed())]

        def restart(self, _: Any) -> None:
            running.append(study_progress(bench.store, study_id).running)
            self.running = []

    pool: Any = Pool()
    emitted: list[Event] = []
    events = WorkerEvents(emitted.append, lambda ready: None)
    Supervisor(pool, bench.store, events, StopFlag(), most_crashes=1).run()
    assert running == [0]
    assert emitted == [WorkerLost(dead, "killed")]


def test_supervisor_stops_workers_in_good_order_when_a_listener_raises(bench: Bench) -> None:
    worker = SimpleNamespace(name="worker-1", identity="h:1:1.00", hung=False, silent_seconds=lambda: 0.0)
    away = DatabaseAway(worker.identity)
    told: list[str] = []

    class Pool:
        count = 1

        def __init__(self) -> None:
            self.running: list[Any] = [worker]

        def start(self) -> None: ...

        def poll(self, seconds: float) -> list[Any]:
            return [(worker, Exited() if told else away)]

        def stop(self) -> None:
            told.append("stop")

        def remove(self, _: Any) -> None:
            told.append("removed")
            self.running = []

        def end(self) -> None:
            told.append("end")

    pool: Any = Pool()
    heard: list[Event] = []

    def listen(event: Event) -> None:
        heard.append(event)
        raise OSError("no space left")

    events = WorkerEvents(listen, lambda ready: None)
    with pytest.raises(OSError, match="no space left"):
        Supervisor(pool, bench.store, events, StopFlag(), most_crashes=1).run()
    assert (heard, told) == ([away], ["stop", "removed", "end"])
