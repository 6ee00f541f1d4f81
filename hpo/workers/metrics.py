"""Prometheus metrics of the worker processes that this command started."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import singledispatchmethod
from threading import Lock
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hpo.errors import UserError
from hpo.events import (
    DatabaseAway,
    DatabaseBack,
    DatabaseRetried,
    EpochDone,
    Event,
    LeaseLost,
    StudyTaken,
    TrialEnded,
    TrialPaused,
    WorkerLost,
    WorkerReady,
)

_STATES = ("complete", "pruned", "failed", "paused")


class WorkerMetrics(Collector):
    """Counts the events of a service; another thread reads the counts."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._studies: dict[str, str] = {}
        """The study that each worker process serves."""
        self._trials: Counter[tuple[str, str]] = Counter()
        self._epochs: Counter[str] = Counter()
        self._lease_losses: Counter[str] = Counter()
        self._retries = 0
        self._lost = 0
        self._away = False
        self._processes: set[str] = set()
        self._speeds: dict[str, float] = {}
        """Images per second of each process in the last epoch of its running trial."""

    def count(self, event: Event) -> None:
        """Count an event."""
        with self._lock:
            self._count(event)

    @singledispatchmethod
    def _count(self, event: Any) -> None:
        """Count an event; most have no metric."""

    @_count.register
    def _(self, event: WorkerReady) -> None:
        self._processes.add(event.worker)

    @_count.register
    def _(self, event: WorkerLost) -> None:
        self._lost += 1
        self._processes.discard(event.worker)
        self._speeds.pop(event.worker, None)
        self._studies.pop(event.worker, None)

    @_count.register
    def _(self, event: StudyTaken) -> None:
        self._studies[event.worker] = event.study

    @_count.register
    def _(self, event: EpochDone) -> None:
        self._epochs[self._study_of(event)] += 1
        self._speeds[event.worker] = event.result.images_per_second

    @_count.register
    def _(self, event: TrialEnded | TrialPaused) -> None:
        state = event.state if isinstance(event, TrialEnded) else "paused"
        self._trials[self._study_of(event), state] += 1
        self._speeds.pop(event.worker, None)

    @_count.register
    def _(self, event: LeaseLost) -> None:
        self._lease_losses[self._study_of(event)] += 1
        self._speeds.pop(event.worker, None)

    @_count.register
    def _(self, event: DatabaseRetried) -> None:
        self._retries += 1

    @_count.register
    def _(self, event: DatabaseAway | DatabaseBack) -> None:
        self._away = isinstance(event, DatabaseAway)

    def _study_of(self, event: EpochDone | TrialEnded | TrialPaused | LeaseLost) -> str:
        return self._studies.get(event.worker, "")

    def describe(self) -> Iterable[Metric]:
        """Declare no metrics up front."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Return all metrics."""
        with self._lock:
            yield from list(self._families())

    def _families(self) -> Iterator[Metric]:
        trials = CounterMetricFamily(
            "hpo_worker_trials", "Trials that ended or paused here, by state.", labels=["study", "state"]
        )
        for study in sorted({*self._studies.values(), *(each for each, _ in self._trials)}):
            for state in _STATES:
                trials.add_metric([study, state], self._trials[study, state])
        yield trials
        yield _by_study("hpo_worker_epochs", "Epochs trained here.", self._epochs)
        yield _by_study(
            "hpo_worker_lease_losses",
            "Trials that other workers took over because a lease was not renewed in time.",
            self._lease_losses,
        )
        yield CounterMetricFamily(
            "hpo_worker_database_retries",
            "Retried transactions: the database was unreachable or busy, or refused them for now.",
            self._retries,
        )
        yield CounterMetricFamily(
            "hpo_worker_processes_lost", "Worker processes that died or hung.", self._lost
        )
        yield GaugeMetricFamily(
            "hpo_worker_database_away", "1 while the database has not answered for some seconds.", self._away
        )
        yield GaugeMetricFamily("hpo_worker_processes", "Worker processes.", len(self._processes))
        yield GaugeMetricFamily(
            "hpo_worker_images_per_second",
            "Training speed of the trials running here: the sum over their last epochs.",
            sum(self._speeds.values()),
        )


def _by_study(name: str, about: str, counts: Counter[str]) -> Metric:
    family = CounterMetricFamily(name, about, labels=["study"])
    for study, count in sorted(counts.items()):
        family.add_metric([study], count)
    return family


@contextmanager
def metrics_served(metrics: WorkerMetrics, host: str, port: int) -> Iterator[str]:
    """Serve the metrics within the block and yield their URL; raises ``UserError`` if the port is taken."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(metrics)
    try:
        server, thread = start_http_server(port, host, registry)
    except (OSError, UnicodeError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        raise UserError(
            f"--metrics-port: cannot listen on {host}:{port}: {reason}. Each `hpo worker` of a machine needs "
            "its own port; 0 takes any free port"
        ) from None
    try:
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
