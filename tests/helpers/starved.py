"""Run a study in a process with little address space: its first trial does not fit. Prints JSON."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

import psutil

from hpo.config.study import StudySpec
from hpo.events import Event, TrialEnded
from hpo.storage.store import ResultsStore
from hpo.workers.loop import serve
from hpo.workers.messages import WorkOrder
from hpo.workers.submit import submit_study

ROOM = 700 * 2**20
FIXED = {
    "dataset": "synthetic",
    "train_images": 2000,
    "epochs": 1,
    "depth": 2,
    "batch_size": 2000,
    "precision": "fp32",
}


def main(url: str, checks: str) -> None:
    spec = StudySpec.model_validate(
        {
            "study": "s",
            "trials": 3,
            "sampler": "grid",
            "fixed": FIXED,
            "space": {"width": {"choice": [4, 200, 5]}},
            "checks": checks,
        }
    )
    with ResultsStore(url) as store:
        submit_study(store, spec)
    states: list[str] = []
    resident: list[int] = []

    def listen(event: Event) -> None:
        if isinstance(event, TrialEnded):
            states.append(event.state)
            resident.append(psutil.Process().memory_info().rss)
            if len(states) == 1:  # all is loaded now
                space = psutil.Process().memory_info().vms + ROOM
                resource.setrlimit(resource.RLIMIT_AS, (space, space))

    serve(WorkOrder(url, (spec.study,), "cpu", 1), listen, lambda: None, lambda ready: None)
    print(json.dumps({"states": states, "resident": resident}))  # noqa: T201


if __name__ == "__main__":
    main(f"sqlite:///{Path(sys.argv[1]) / 'hpo.db'}", sys.argv[2])
