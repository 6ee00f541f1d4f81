"""The overhead of a trial besides training and validation: claims, the database, checks, setup.

    python benchmarks/overhead.py [--trials 6] [--width 16] [--storage sqlite:///...]

Trials of 5 epochs x 10,000 images run in this process. The calls of each part are timed; database calls for
which training waits and those of other threads are listed separately. Training and validation are the times
the epochs report. One warm-up trial is not counted.
"""

from __future__ import annotations

import argparse
import functools
import inspect
import statistics
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

from machine import images, machine, table

import hpo.queue.lease_keeper
import hpo.training.setup
import hpo.trial.callbacks
import hpo.trial.images
from hpo.checks.babysitter import Babysitter
from hpo.checks.measure.inputs import ForwardMonitor
from hpo.config.study import StudySpec
from hpo.events import Event, TrialEnded
from hpo.limits import available_cores
from hpo.queries.trial import trial_detail
from hpo.storage.store import ResultsStore
from hpo.storage.studies import results_engine
from hpo.workers import loop, study_runner
from hpo.workers.messages import WorkOrder
from hpo.workers.submit import submit_study

MOST_OVERHEAD = 0.03
MOST_CHECKS = 0.02


def _methods(owner: type, *, private: bool) -> list[tuple[Any, str]]:
    """Return the methods that a class itself defines, so that new ones are included."""
    return [
        (owner, name)
        for name, value in vars(owner).items()
        if inspect.isfunction(value) and not name.startswith("__") and (private or not name.startswith("_"))
    ]


PARTS: dict[str, list[tuple[Any, str]]] = {
    # The private ones too: hooks on the network and the optimizer call them.
    "checks": [*_methods(Babysitter, private=True), *_methods(ForwardMonitor, private=True)],
    "database": [
        (loop, "open_studies"),
        *((study_runner, name) for name in ("claim", "progress", "stop_if_failing")),
        (hpo.queue.lease_keeper, "renew"),
        *_methods(ResultsStore, private=False),
    ],
    "data": [(hpo.training.setup, name) for name in ("split", "make_trial_data")],
    "model": [
        *((hpo.training.setup, name) for name in ("build_model", "build_optimizer")),
        (hpo.trial.callbacks, "penalty"),
        *((hpo.trial.images, name) for name in ("parameter_count", "weights_hash")),
    ],
}


BACKGROUND = "database, while training goes on"


class Clock:
    """Seconds and calls by part and trial; of nested calls in a thread, the outermost counts."""

    def __init__(self) -> None:
        self.trial = -1
        self.seconds: dict[str, dict[int, float]] = {
            part: defaultdict(float) for part in (*PARTS, BACKGROUND)
        }
        self.calls: Counter[str] = Counter()
        self._within = threading.local()

    def watch(self) -> None:
        """Time every call of PARTS."""
        for part, calls in PARTS.items():
            for owner, name in calls:
                setattr(owner, name, self._timed(getattr(owner, name), part))

    def _timed(self, call: Callable[..., Any], part: str) -> Callable[..., Any]:
        @functools.wraps(call)
        def timed(*arguments: Any, **named: Any) -> Any:
            if getattr(self._within, "call", False):
                return call(*arguments, **named)
            waits = threading.current_thread() is threading.main_thread()
            started, self._within.call = time.perf_counter(), True
            try:
                return call(*arguments, **named)
            finally:
                self._within.call = False
                self.calls[part] += 1
                self.seconds[part if waits else BACKGROUND][self.trial] += time.perf_counter() - started

        return timed


class Listener:
    """Handles a run's events: records when each trial ended."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.ended: list[float] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, TrialEnded):
            # What comes after this is the next trial's, its claim as well.
            self.ended.append(time.perf_counter())
            self.clock.trial = event.number + 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--storage", help="default: a new SQLite file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = arguments.storage or f"sqlite:///{folder}/hpo.db"
        clock, listener = _run(url, arguments.trials + 1, arguments.width)
        _report(clock, listener, url, arguments.trials)


def _run(url: str, trials: int, width: int) -> tuple[Clock, Listener]:
    dataset = images()
    fixed = {"dataset": dataset.name, "train_images": min(10_000, len(dataset.train_labels) * 9 // 10)}
    spec = StudySpec.model_validate(
        {
            "study": "overhead",
            "trials": trials,
            "fixed": {**fixed, "width": width, "epochs": 5},
            "space": {"lr": {"log": [0.01, 0.1]}},
        }
    )
    with ResultsStore(url) as store:
        submit_study(store, spec)
    clock = Clock()
    listener = Listener(clock)
    clock.watch()
    order = WorkOrder(url, (spec.study,), "auto", workers=available_cores())
    loop.serve(order, listener, lambda: None, lambda ready: None)
    return clock, listener


def _report(clock: Clock, listener: Listener, url: str, trials: int) -> None:
    untimed = [part for part in PARTS if clock.calls[part] < trials]
    assert not untimed, f"no calls of {', '.join(untimed)} were timed: do trials call other functions now?"
    counted = range(1, trials + 1)
    wall = [listener.ended[trial] - listener.ended[trial - 1] for trial in counted]
    engine = results_engine(url)
    curves = [trial_detail(engine, "overhead", trial).curve for trial in counted]
    engine.dispose()
    trained = [sum(epoch.seconds for epoch in curve) for curve in curves]
    parts = {part: [seconds[trial] for trial in counted] for part, seconds in clock.seconds.items()}
    # An epoch's seconds include the checks inside it, but nothing else that is timed.
    outside = [whole - inside for whole, inside in zip(wall, trained, strict=True)]
    rows = [_row("trial", wall, wall), _row("training and validation", trained, wall)]
    rows += [_row(f"  {part}", seconds, wall) for part, seconds in parts.items()]
    rows.append(_row("not training or validation", outside, wall))
    print(f"{machine()}; n = {trials} trials of 5 epochs, medians")
    print(table(["part", "s a trial", "share"], rows))
    print(f"bars: not training or validation <= {MOST_OVERHEAD:.0%}, checks <= {MOST_CHECKS:.0%}")


def _row(part: str, seconds: list[float], wall: list[float]) -> list[str]:
    share = statistics.median(mine / whole for mine, whole in zip(seconds, wall, strict=True))
    return [part, f"{statistics.median(seconds):.3f}", f"{share:.2%}"]


if __name__ == "__main__":
    main()
