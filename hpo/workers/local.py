"""A run on this machine: a study submitted, its worker processes watched over, until it is done."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial

from hpo.diagnosis import refresh
from hpo.events import Event, RunSummary, StudyReady, TrialEnded
from hpo.queue.leases import release_dead_local
from hpo.queue.slots import Progress, progress
from hpo.recovery.signals import StopFlag, StopRequestedError, stop_on_signals
from hpo.results.patience import Patience
from hpo.results.store import ResultsStore
from hpo.spec.study import StudySpec
from hpo.workers.base import Emit, Ready, WorkOrder
from hpo.workers.crew import POLL_SECONDS, Crew
from hpo.workers.submit import Submitted, submit
from hpo.workers.team import Team, open_team


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
    with stop_on_signals() as stop, open_team(workers) as team:
        patience = Patience(sleep=partial(sleep_until_signal, stop))
        with ResultsStore(storage_url, patience) as store:
            run = _Run(team, store, spec, order, on_event)
            # A signal ends waiting for a database that is away: then what is known tells how far it came.
            with suppress(StopRequestedError):
                run.until_done(stop)
    return RunSummary(
        study=spec.study,
        finished=run.finished,
        total=run.total,
        interrupted=bool(stop.signum),
        seconds=time.monotonic() - started,
        exit_code=stop.exit_code if stop.signum else int(run.finished < run.total),
        stopped=run.crew.stopped,
        problems=run.crew.problems,
    )


def sleep_until_signal(stop: StopFlag, seconds: float) -> None:
    """Sleep, but raise ``StopRequestedError`` after a signal."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        stop.check()
        time.sleep(min(left, POLL_SECONDS))


class _Run:
    """Submits a study and has it served, until it is done or its workers have ended."""

    def __init__(
        self, team: Team, store: ResultsStore, spec: StudySpec, order: WorkOrder, emit: Emit
    ) -> None:
        self.finished, self.total = 0, spec.trials
        """Trials that are over, and all of the study's, as far as is known here."""
        # A trial that kills its workers is given up before so many of them are dead.
        self.crew = Crew(team, store, order, self._pass_on, most_deaths=spec.max_deaths * order.workers)
        self._team = team
        self._store = store
        self._spec = spec
        self._emit = emit
        self._announced = False

    def until_done(self, stop: StopFlag) -> None:
        """Raises ``StopRequestedError`` if the database is away after a signal."""
        submitted = submit(self._store, self._spec)
        self._know(submitted.at_start)
        if self.finished < self.total:
            self.crew.work(stop, partial(self._announce, submitted))
        self._team.end()
        release_dead_local(self._store, submitted.study_id)
        refresh(self._store, self._spec.study)
        self._know(progress(self._store, submitted.study_id))

    def _know(self, now: Progress) -> None:
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
                workers=len(self._team.workers),
                threads_per_worker=ready.threads,
                device=ready.device,
                precision=ready.precision,
                reclaimed=submitted.reclaimed,
            )
        )
