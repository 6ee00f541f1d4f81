"""What the workers of this machine did since they were started, for Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import Lock

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
    """Counts the events of a service; read from another thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._studies: dict[str, str] = {}
        """The study that each worker process serves, by its name."""
        self._trials: Counter[tuple[str, str]] = Counter()
        self._epochs: Counter[str] = Counter()
        self._lease_losses: Counter[str] = Counter()
        self._retries = 0
        self._lost = 0
        self._away = False
        self._processes: set[str] = set()
        self._speeds: dict[str, float] = {}
        """Images per second of each process in the last epoch of its trial."""

    def count(self, event: Event) -> None:
        """Take an event into account."""
        with self._lock:
            self._count(event)

    def _count(self, event: Event) -> None:
        study = self._studies.get(getattr(event, "worker", ""), "")
        if isinstance(event, StudyTaken):
            self._studies[event.worker] = event.study
        elif isinstance(event, EpochDone):
            self._epochs[study] += 1
            self._speeds[event.worker] = event.result.images_per_second
        elif isinstance(event, TrialEnded | TrialPaused):
            self._trials[study, event.state if isinstance(event, TrialEnded) else "paused"] += 1
            self._speeds.pop(event.worker, None)
        elif isinstance(event, LeaseLost):
            self._lease_losses[study] += 1
            self._speeds.pop(event.worker, None)
        elif isinstance(event, DatabaseRetried):
            self._retries += 1
        elif isinstance(event, DatabaseAway | DatabaseBack):
            self._away = isinstance(event, DatabaseAway)
        else:
            self._count_processes(event)

    def _count_processes(self, event: Event) -> None:
        if isinstance(event, WorkerReady):
            self._processes.add(event.worker)
        elif isinstance(event, WorkerLost):
            self._lost += 1
            self._processes.discard(event.worker)
            self._speeds.pop(event.worker, None)
            self._studies.pop(event.worker, None)

    def describe(self) -> Iterable[Metric]:
        """Nothing that is known before it happens."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Every metric."""
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
            "Trials that another worker took over, since their lease could not be renewed in time.",
            self._lease_losses,
        )
        yield CounterMetricFamily(
            "hpo_worker_database_retries",
            "Transactions tried again: the database was away or busy, or refused them for now.",
            self._retries,
        )
        yield CounterMetricFamily(
            "hpo_worker_processes_lost", "Worker processes that died or hung.", self._lost
        )
        yield GaugeMetricFamily(
            "hpo_worker_database_away", "1 while the database has not answered for seconds.", self._away
        )
        yield GaugeMetricFamily("hpo_worker_processes", "Worker processes.", len(self._processes))
        yield GaugeMetricFamily(
            "hpo_worker_images_per_second",
            "Training speed of the trials under way here, each in its last epoch, added up.",
            sum(self._speeds.values()),
        )


def _by_study(name: str, about: str, counts: Counter[str]) -> Metric:
    family = CounterMetricFamily(name, about, labels=["study"])
    for study, count in sorted(counts.items()):
        family.add_metric([study], count)
    return family


@contextmanager
def metrics_served(metrics: WorkerMetrics, host: str, port: int) -> Iterator[str]:
    """Answer at the address that is given, until the block ends; raises ``UserError`` if it cannot be had."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(metrics)
    try:
        server, thread = start_http_server(port, host, registry)
    except (OSError, UnicodeError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        raise UserError(
            f"--metrics-port: cannot listen on {host}:{port}: {reason}. Each `hpo worker` of a machine needs "
            "a port of its own; 0 takes any"
        ) from None
    try:
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
