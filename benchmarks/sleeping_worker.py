"""A worker without training: an epoch is a sleep. Everything else is as in real workers, without torch."""

from __future__ import annotations

import os
import random
import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from hpo.queue import lease_keeper
from hpo.queue.control import database_time, stop_if_failing
from hpo.queue.lease_keeper import LeaseKeeper
from hpo.queue.leases import claim
from hpo.queue.scheduling import open_studies
from hpo.queue.worker_registry import WorkerRegistration
from hpo.records import EpochResult, Finding, LayerStatistics, Outcome
from hpo.search.suggest import Suggestions
from hpo.storage.fence import Lease
from hpo.storage.identity import worker_id
from hpo.storage.store import ResultsStore
from hpo.storage.studies import RegisteredStudy, find_registered
from hpo.trial.writer import BackgroundWriter

EPOCHS, EPOCH_SECONDS, LEASE_SECONDS, HUNG_SECONDS = 9, 1.0, 60.0, 600.0
CHECKS = ("initial_loss", "regularized_loss", "overfit_small", "learned")


def an_epoch(epoch: int) -> EpochResult:
    """Return the result of an epoch."""
    return EpochResult(epoch, 2.3 / epoch, 0.5, 2.4 / epoch, 0.5, 0.1, 1.0, 10_000, 1e4)


def six_layers(epoch: int) -> list[LayerStatistics]:
    """Return the statistics of a probe."""
    return [
        LayerStatistics(
            f"conv{i}",
            step=epoch,
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


@dataclass
class WorkerTimings:
    """How long a worker waited for each kind of call within the measured interval, in seconds."""

    begins: float
    ends: float
    claims: list[float] = field(default_factory=list)
    begun: list[float] = field(default_factory=list)
    """The first call of each trial."""
    records: list[float] = field(default_factory=list)

    def note(self, waits: list[float], began: float) -> None:
        """Record a call that began then and ends now."""
        now = time.monotonic()
        if self.begins <= now < self.ends:
            waits.append(now - began)


class TimedStore(ResultsStore):
    """A store that times each record of an epoch."""

    def __init__(self, url: str, timings: WorkerTimings) -> None:
        super().__init__(url)
        self._timings = timings

    def record_epoch(self, hold: Any, trial_id: int, record: EpochResult) -> None:
        began = time.monotonic()
        super().record_epoch(hold, trial_id, record)
        self._timings.note(self._timings.records, began)


class Worker:
    """A worker that sleeps instead of training, sped up by ``speed``, with ``epochs`` per trial."""

    def __init__(
        self, store: ResultsStore, study: RegisteredStudy, speed: float, epochs: int, timings: WorkerTimings
    ) -> None:
        self._store = store
        self._study = study
        self._speed = speed
        self._epochs = epochs
        self._timings = timings
        self._since = database_time(store)
        self._suggestions = Suggestions(store, study.study_id, study.spec.space)
        self._random = random.Random(os.getpid())

    def work(self) -> None:
        """Work as `hpo.workers.loop` and `study_runner` do. The first trial's length is random."""
        epochs = self._random.randint(1, self._epochs)
        self._sleep(self._random.random())
        while time.monotonic() < self._timings.ends:
            open_studies(self._store)
            stop_if_failing(self._store, self._study.study_id, self._study.spec, self._since)
            began = time.monotonic()
            lease = claim(self._store, self._study.study_id, worker_id(), LEASE_SECONDS / self._speed)
            self._timings.note(self._timings.claims, began)
            assert lease is not None
            with LeaseKeeper(self._store, lease, HUNG_SECONDS) as held:
                self._train(lease, held, epochs)
            epochs = self._epochs

    def _train(self, lease: Lease, held: LeaseKeeper, epochs: int) -> None:
        """Work as `hpo.trial.run` does."""
        store = self._store
        began = time.monotonic()
        begun = self._suggestions.begin(lease, self._study.spec, {}, dataset="synthetic", device="cpu")
        self._timings.note(self._timings.begun, began)
        store.begin_attempt(lease, begun.trial_id, device="cpu", from_epoch=0)
        store.deaths_in_a_row(begun.trial_id)
        with closing(BackgroundWriter(store, lease, begun.trial_id)) as writer:
            found = [Finding(check, "pass", 2.3, 2.3, "as expected") for check in CHECKS]
            writer.findings(found)
            for epoch in range(1, epochs + 1):
                self._sleep(self._random.uniform(0.9, 1.1))
                if time.monotonic() >= self._timings.ends:
                    return
                writer.epoch(an_epoch(epoch))
                writer.layers(six_layers(epoch))
                held.heartbeat()
                held.raise_if_lost()
                writer.check()
            writer.flush(held.heartbeat)
            store.finish_trial(lease, begun.trial_id, Outcome("complete", 0.5, "healthy", cause="healthy"))

    def _sleep(self, epochs: float) -> None:
        time.sleep(epochs * EPOCH_SECONDS / self._speed)


def serve(url: str, name: str, speed: float, epochs: int, times: Any, gate: Any, results: Any) -> None:
    """Run a worker process."""
    lease_keeper.STOP_POLL_SECONDS /= speed
    timings = WorkerTimings(0.0, 0.0)
    with TimedStore(url, timings) as store:
        study = find_registered(store.engine, name)
        assert study is not None
        worker = Worker(store, study, speed, epochs, timings)
        registration = WorkerRegistration(store, worker_id(), device="cpu")
        gate.wait()
        timings.begins, timings.ends = times
        worker.work()
        results.put(timings)
        gate.wait()  # until everything is measured
        registration.deregister()
