"""What checkpoints cost a trial of 5 epochs x 10,000 images: one at the end of each epoch.

    python benchmarks/checkpoints.py [--trials 3] [--width 16]

Wall time is how long training waits; CPU time is that of the training thread and the writer's thread. The
share is of CPU time, so that other load on the machine does not distort it.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

from machine import images, machine, table

import hpo.trial.callbacks
from hpo.config.study import StudySpec
from hpo.limits import available_cores
from hpo.storage.store import ResultsStore
from hpo.training.checkpoint_files import Checkpoints
from hpo.workers import loop
from hpo.workers.messages import WorkOrder
from hpo.workers.submit import submit_study


class Stopwatch:
    """Wall and CPU seconds of the calling thread for each call of a method, and the sizes written."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.cpu: list[float] = []
        self.bytes: list[int] = []

    def around(self, owner: Any, name: str) -> None:
        call: Callable[..., Any] = getattr(owner, name)

        def timed(*arguments: Any) -> Any:
            self.bytes.append(sum(len(each) for each in arguments if isinstance(each, bytes)))
            wall, cpu = time.perf_counter(), time.thread_time()
            try:
                return call(*arguments)
            finally:
                self.wall.append(time.perf_counter() - wall)
                self.cpu.append(time.thread_time() - cpu)

        setattr(owner, name, timed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--width", type=int, default=16)
    arguments = parser.parse_args()
    dataset = images()
    fixed = {"dataset": dataset.name, "train_images": min(10_000, len(dataset.train_labels) * 9 // 10)}
    space = {"lr": {"log": [0.01, 0.1]}}
    document = {"study": "checkpoints", "trials": arguments.trials, "space": space}
    spec = StudySpec.model_validate(document | {"fixed": {**fixed, "width": arguments.width, "epochs": 5}})
    saving, writing = Stopwatch(), Stopwatch()
    saving.around(hpo.trial.callbacks.CheckpointCallback, "_save")
    writing.around(Checkpoints, "_write")
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/hpo.db"
        with ResultsStore(url) as store:
            submit_study(store, spec)
        began = time.process_time()
        loop.serve(
            WorkOrder(url, (spec.study,), "auto", workers=available_cores()),
            lambda event: None,
            lambda: None,
            lambda ready: None,
        )
        whole = time.process_time() - began
    _report(saving, writing, whole, arguments.trials)


def _report(saving: Stopwatch, writing: Stopwatch, whole: float, trials: int) -> None:
    rows = [
        ["training waits (wall)", f"{statistics.median(saving.wall) * 1e3:.1f}", "", ""],
        _row("serializing (CPU)", saving.cpu, whole),
        _row("writing in the background (CPU)", writing.cpu, whole),
        ["writing in the background (wall)", f"{statistics.median(writing.wall) * 1e3:.1f}", "", ""],
    ]
    print(f"{machine()}")
    print(
        f"n = {len(saving.wall)} checkpoints of {statistics.median(writing.bytes) / 1e6:.2f} MB in {trials} "
        f"trials; {whole / trials:.1f} s of CPU a trial"
    )
    print(table(["part", "median ms", "s in all", "share"], rows))


def _row(part: str, cpu: list[float], whole: float) -> list[str]:
    return [part, f"{statistics.median(cpu) * 1e3:.1f}", f"{sum(cpu):.3f}", f"{sum(cpu) / whole:.2%}"]


if __name__ == "__main__":
    main()
