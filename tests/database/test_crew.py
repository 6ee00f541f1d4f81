"""What a worker held that died, while others of its machine idle."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

from hpo.events import Event, WorkerLost
from hpo.queue.slots import study_progress
from hpo.signals import StopFlag
from hpo.storage import identity
from hpo.workers.messages import WorkOrder
from hpo.workers.supervisor import Supervisor


def test_its_slot_is_free_before_it_is_replaced(bench: Any) -> None:
    study_id = bench.register()
    with subprocess.Popen([sys.executable, "-c", "pass"]) as gone:
        gone.wait()
    dead = f"{identity.host()}:{gone.pid}:1.00"
    bench.claim(study_id, dead)
    running: list[int] = []
    team: Any = SimpleNamespace(
        workers=[], replace=lambda *_: running.append(study_progress(bench.store, study_id).running)
    )
    worker: Any = SimpleNamespace(
        pipe=SimpleNamespace(close=lambda: None),
        process=SimpleNamespace(join=lambda: None, exitcode=-9),
        identity=dead,
        hung=False,
        printed=lambda: "",
        obituary=lambda: "killed",
    )
    told: list[Event] = []
    crew = Supervisor(team, bench.store, WorkOrder(bench.store.url, (), "cpu", 1), told.append, most_deaths=1)
    crew._ended(worker, StopFlag())
    assert running == [0]
    assert told == [WorkerLost(dead, "killed")]
