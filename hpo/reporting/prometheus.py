"""The metrics of a database's studies and workers in the text format of Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Engine

from hpo.queries import metrics
from hpo.queries.study import StudySummary, list_studies
from hpo.queries.workers import STATES, list_workers, state_of
from hpo.storage.engine import open_reader
from hpo.storage.revision import require
from hpo.storage.tables import ATTEMPT_OUTCOMES

_TRIAL_STATES = ("waiting", "running", "paused", "complete", "pruned", "failed")


def database_metrics(url: str) -> bytes:
    """Return the current metrics.

    Raises ``StorageError`` if the database cannot be read or has no tables of hpo.
    """
    engine = open_reader(url)
    try:
        require(engine)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Database(engine))
        return generate_latest(registry)
    finally:
        engine.dispose()


class _Database(Collector):
    """Reads the database at each scrape."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def describe(self) -> Iterable[Metric]:
        """Return nothing: registration must not read the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        studies = list_studies(self._engine)
        names = {each.study_id: each.name for each in studies}
        yield _trials(studies)
        yield _best(studies)
        yield _best_accuracy(studies)
        yield _epochs(names, metrics.epochs_by_study(self._engine))
        yield _by_study(
            "hpo_images_per_second",
            "Training speed of the running trials, summed; each in its last epoch.",
            names,
            metrics.speed_by_study(self._engine),
        )
        yield _by_study(
            "hpo_slots_held",
            "Trials that a worker holds under a lease that has not expired.",
            names,
            metrics.held_slots_by_study(self._engine),
        )
        yield _attempts(names, metrics.attempts_by_study(self._engine))
        yield _workers(self._engine)


def _trials(studies: list[StudySummary]) -> Metric:
    family = GaugeMetricFamily("hpo_trials", "Planned trials by state.", labels=["study", "state"])
    for study in studies:
        for state in _TRIAL_STATES:
            family.add_metric([study.name, state], getattr(study, state))
    return family


def _best(studies: list[StudySummary]) -> Metric:
    family = GaugeMetricFamily(
        "hpo_best_value",
        "The best value of a complete trial, or the confirmed mean; its study maximizes or minimizes the "
        "objective.",
        labels=["study", "objective", "direction"],
    )
    for study in studies:
        if study.best_value is not None:
            family.add_metric([study.name, study.objective, study.direction], study.best_value)
    return family


def _best_accuracy(studies: list[StudySummary]) -> Metric:
    family = GaugeMetricFamily(
        "hpo_best_val_accuracy",
        "The best validation accuracy of a complete trial, or the confirmed mean, 0 to 1, in studies that "
        "maximize it.",
        labels=["study"],
    )
    for study in studies:
        if study.best_value is not None and study.objective == "val_accuracy":
            family.add_metric([study.name], study.best_value)
    return family


def _epochs(names: Mapping[int, str], epochs: Mapping[int, int]) -> Metric:
    family = CounterMetricFamily(
        "hpo_epochs", "Recorded epochs, including those of running trials.", labels=["study"]
    )
    for study_id, name in names.items():
        family.add_metric([name], float(epochs.get(study_id, 0)))
    return family


def _by_study(metric: str, about: str, names: Mapping[int, str], values: Mapping[int, float]) -> Metric:
    family = GaugeMetricFamily(metric, about, labels=["study"])
    for study_id, name in names.items():
        family.add_metric([name], values.get(study_id, 0))
    return family


def _attempts(names: Mapping[int, str], counts: Mapping[tuple[int, str], int]) -> Metric:
    family = CounterMetricFamily(
        "hpo_attempts",
        "Ended attempts at trials by outcome; lost: the worker died or could not renew its lease.",
        labels=["study", "outcome"],
    )
    for study_id, name in names.items():
        for outcome in ATTEMPT_OUTCOMES:
            family.add_metric([name, outcome], counts.get((study_id, outcome), 0))
    return family


def _workers(engine: Engine) -> Metric:
    family = GaugeMetricFamily(
        "hpo_workers",
        "Worker processes on all machines by state; at_work and idle ones are alive.",
        labels=["state"],
    )
    states = [state_of(each) for each in list_workers(engine)]
    for state in STATES:
        family.add_metric([state.replace(" ", "_")], states.count(state))
    return family
