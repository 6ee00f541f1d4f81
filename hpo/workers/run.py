"""A run from a study to its summary, and a service that runs every open study."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeAlias

from hpo.config.study import StudySpec
from hpo.diagnosis.refresh import refresh
from hpo.events import Event, RunSummary, StudyReady, StudySkipped, TrialEnded, WorkerReady
from hpo.queue.leases import release_dead_local
from hpo.queue.slots import StudyProgress, study_progress
from hpo.signals import StopFlag, StopRequestedError, stop_on_signals
from hpo.storage.retry import RetryPolicy
from hpo.storage.store import ResultsStore
from hpo.workers.messages import Emit, Ready, WorkOrder
from hpo.workers.process import open_process_pool
from hpo.workers.submit import Submitted, submit
from hpo.workers.supervisor import POLL_SECONDS, Supervisor, WorkerEvents


class Workers(Protocol):
    """Those that serve one study."""

    @property
    def heard(self) -> WorkerEvents: ...
    @property
    def count(self) -> int: ...

    def work(self, stop: StopFlag, on_ready: Callable[[Ready], None]) -> None:
        """Until all have ended. Raises ``UserError`` or ``WorkerError`` with a worker's message."""

    def end(self) -> None:
        """End whoever still works; may be called again."""


Gather: TypeAlias = Callable[[ResultsStore, Emit], Workers]
"""Workers for the study of a database, and who hears what they say."""


def see_through(
    spec: StudySpec, storage_url: str, gather: Gather, stop: StopFlag, on_event: Emit, started: float
) -> RunSummary:
    """Submit the study, or take it up again, and have it served until it is done or ``stop`` is set.

    ``started`` is when it all began, by the monotonic clock. Raises what ``Workers.work`` raises.
    """
    patience = RetryPolicy(sleep=partial(sleep_until_signal, stop))
    with ResultsStore(storage_url, patience) as store:
        run = _Run(store, spec, gather, on_event)
        # A signal ends waiting for a database that is away: then what is known tells how far it came.
        with suppress(StopRequestedError):
            run.until_done(stop)
    heard = run.workers.heard
    return RunSummary(
        study=spec.study,
        finished=run.finished,
        total=run.total,
        interrupted=bool(stop.signum),
        seconds=time.monotonic() - started,
        exit_code=stop.exit_code if stop.signum else int(run.finished < run.total),
        stopped=heard.stopped,
        problems=heard.problems,
    )


def sleep_until_signal(stop: StopFlag, seconds: float) -> None:
    """Sleep, but raise ``StopRequestedError`` after a signal."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        stop.check()
        time.sleep(min(left, POLL_SECONDS))


class _Run:
    """Submits a study and has it served, until it is done or its workers have ended."""

    def __init__(self, store: ResultsStore, spec: StudySpec, gather: Gather, emit: Emit) -> None:
        self.finished, self.total = 0, spec.trials
        """Trials that are over, and all of the study's, as far as is known here."""
        self.workers = gather(store, self._pass_on)
        self._store = store
        self._spec = spec
        self._emit = emit
        self._announced = False

    def until_done(self, stop: StopFlag) -> None:
        """Raises ``StopRequestedError`` if the database is away after a signal."""
        submitted = submit(self._store, self._spec)
        self._know(submitted.at_start)
        if self.finished < self.total:
            self.workers.work(stop, partial(self._announce, submitted))
        self.workers.end()
        release_dead_local(self._store, submitted.study_id)
        refresh(self._store, self._spec.study)
        self._know(study_progress(self._store, submitted.study_id))

    def _know(self, now: StudyProgress) -> None:
        self.finished, self.total = now.done, now.total

    def _pass_on(self, event: Event) -> None:
        self.finished += isinstance(event, TrialEnded)
        self._emit(event)

    def _announce(self, submitted: Submitted, ready: Ready) -> None:
        if self._announced:
            return
        self._announced = True
        assert ready.precision is not None, "it serves one study"
        self._emit(
            StudyReady(
                study=self._spec.study,
                dataset=submitted.dataset,
                origin=submitted.origin,
                trials_done=submitted.at_start.done,
                trials_total=submitted.at_start.total,
                workers=self.workers.count,
                threads_per_worker=ready.threads,
                device=ready.device,
                precision=ready.precision,
                reclaimed=submitted.reclaimed,
                costs=self._spec.trial_costs,
            )
        )


def run_study(
    spec: StudySpec,
    storage_url: str,
    *,
    workers: int,
    device: str,
    on_event: Emit,
    tags: frozenset[str] = frozenset(),
) -> RunSummary:
    """Submit the study, or take it up again, and serve it with local processes until it is done.

    After SIGINT or SIGTERM the workers stop at a safe point, give their slots back, and the summary says so.
    Raises ``UserError`` or ``WorkerError`` with a worker's message if no worker can go on.
    """
    started = time.monotonic()
    order = WorkOrder(storage_url, (spec.study,), device, workers, tags)
    with stop_on_signals() as stop, open_process_pool(workers) as team:

        def gather(store: ResultsStore, emit: Emit) -> Supervisor:
            # A trial that kills its workers is given up before so many of them are dead.
            return Supervisor(team, store, order, emit, most_deaths=spec.max_deaths * workers)

        return see_through(spec, storage_url, gather, stop, on_event, started)


MOST_DEATHS = 20
"""Workers of a slot that may die before a trial gets on; then the service ends, for its launcher to see."""


@dataclass(frozen=True)
class ServiceSummary:
    """How a service ended."""

    exit_code: int
    """130 or 143 after a signal; 1 if studies were passed over or workers lost at the end; 0 otherwise."""
    seconds: float
    skipped: dict[str, str]
    """Studies that could not be served at some time, with the last reason."""
    problems: list[str]
    """What went wrong with workers."""


def serve_studies(order: WorkOrder, on_event: Emit) -> ServiceSummary:
    """Serve studies with ``order.workers`` processes, until a signal or, unless it waits, all are over.

    After SIGINT or SIGTERM the workers stop at a safe point and give their slots back. Raises ``UserError``
    or ``WorkerError`` with a worker's message if no worker can go on.
    """
    started = time.monotonic()
    service = _Service(on_event)
    with stop_on_signals() as stop, open_process_pool(order.workers) as team:
        patience = RetryPolicy(sleep=partial(sleep_until_signal, stop))
        with ResultsStore(order.storage_url, patience) as store:
            crew = Supervisor(team, store, order, service.hear, most_deaths=MOST_DEATHS * order.workers)
            with suppress(StopRequestedError):  # while the database is away
                crew.work(stop, service.announce)
                team.end()
                release_dead_local(store, None)
    failed = bool(service.skipped or crew.heard.problems)
    return ServiceSummary(
        exit_code=stop.exit_code if stop.signum else int(failed),
        seconds=time.monotonic() - started,
        skipped=service.skipped,
        problems=crew.heard.problems,
    )


class _Service:
    """Passes on what workers say; what several of them say alike, once."""

    def __init__(self, emit: Emit) -> None:
        self.skipped: dict[str, str] = {}
        self._emit = emit

    def announce(self, ready: Ready) -> None:
        self._emit(WorkerReady(ready.worker, ready.device, ready.threads, tuple(sorted(ready.tags))))

    def hear(self, event: Event) -> None:
        if isinstance(event, StudySkipped):
            if self.skipped.get(event.study) == event.reason:
                return
            self.skipped[event.study] = event.reason
        self._emit(event)
