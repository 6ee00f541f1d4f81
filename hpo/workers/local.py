"""A run on this machine: a study submitted, its worker processes watched over, until it is done."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial
from multiprocessing.connection import wait

from hpo.diagnosis import refresh
from hpo.errors import StorageError, UserError, WorkerError
from hpo.events import (
    DatabaseAway,
    DatabaseBack,
    EpochDone,
    Event,
    RunSummary,
    Stopping,
    StudyReady,
    TrialEnded,
    WorkerLost,
)
from hpo.queue.leases import release_dead_local, release_hung
from hpo.queue.slots import Progress, progress
from hpo.recovery.signals import StopFlag, StopRequestedError, stop_on_signals
from hpo.results.patience import Patience
from hpo.results.store import ResultsStore
from hpo.settings import settings
from hpo.spec.study import StudySpec
from hpo.workers.base import Emit, Ready, WorkOrder
from hpo.workers.submit import Submitted, submit
from hpo.workers.team import STOP_SECONDS, Failed, Left, Message, Team, Worker, open_team

POLL_SECONDS = 0.2
HUNG_GRACE_SECONDS = 5.0
"""A hung worker gives its slot back by itself, if it still can, before it is killed."""


def run_study(spec: StudySpec, storage_url: str, *, workers: int, device: str, on_event: Emit) -> RunSummary:
    """Submit the study, or take it up again, and serve it with local processes until it is done.

    After SIGINT or SIGTERM the workers stop at a safe point, give their slots back, and the summary says so.
    Raises ``UserError`` or ``WorkerError`` with a worker's message if no worker can go on.
    """
    started = time.monotonic()
    order = WorkOrder(storage_url, spec.study, device, workers)
    with stop_on_signals() as stop, open_team(workers) as team:
        patience = Patience(sleep=partial(_sleep, stop))
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
        stopped=run.stopped,
        problems=run.problems,
    )


def _sleep(stop: StopFlag, seconds: float) -> None:
    """Sleep, but raise ``StopRequestedError`` after a signal."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        stop.check()
        time.sleep(min(left, POLL_SECONDS))


class _Run:
    """Submits a study and passes on what its workers say, until all of them have ended."""

    def __init__(
        self, team: Team, store: ResultsStore, spec: StudySpec, order: WorkOrder, emit: Emit
    ) -> None:
        self.finished, self.total = 0, spec.trials
        """Trials that are over, and all of the study's, as far as is known here."""
        self.problems: list[str] = []
        self.stopped = False
        """Whether `hpo stop` ended the run."""
        self._team = team
        self._store = store
        self._spec = spec
        self._order = order
        self._emit = emit
        self._announced = False
        self._deaths = 0
        """Since a trial got on."""
        self._failed: Failed | None = None
        self._away: set[str] = set()
        """Workers that the database does not answer."""

    def until_done(self, stop: StopFlag) -> None:
        """Raises ``StopRequestedError`` if the database is away after a signal."""
        submitted = submit(self._store, self._spec)
        self._know(submitted.at_start)
        if self.finished < self.total:
            self._watch(submitted, stop)
        self._team.end()
        release_dead_local(self._store, submitted.study_id)
        refresh(self._store, self._spec.study)
        self._know(progress(self._store, submitted.study_id))

    def _know(self, now: Progress) -> None:
        self.finished, self.total = now.done, now.total

    def _watch(self, submitted: Submitted, stop: StopFlag) -> None:
        for worker in self._team.workers:
            worker.order(self._order)
        deadline: float | None = None
        running = list(self._team.workers)
        while running:
            if stop.signum and deadline is None:
                self._emit(Stopping(stop.signum))
            if (stop.signum or self._failed) and deadline is None:
                self._team.stop()
                deadline = time.monotonic() + STOP_SECONDS
            if deadline is not None and time.monotonic() > deadline:
                break
            for ready in wait([worker.pipe for worker in running], timeout=POLL_SECONDS):
                worker = next(worker for worker in running if worker.pipe is ready)
                self._listen(worker, submitted, stop)
            self._kill_hung(running)
            running = [worker for worker in self._team.workers if not worker.pipe.closed]
        self._raise_failure()

    def _raise_failure(self) -> None:
        if self._failed is not None:
            kind = UserError if self._failed.exit_code == 2 else WorkerError
            raise kind(self._failed.message)

    def _listen(self, worker: Worker, submitted: Submitted, stop: StopFlag) -> None:
        try:
            message: Message = worker.pipe.recv()
        except (EOFError, ConnectionResetError):  # the latter if it died before it read its order
            self._ended(worker, submitted, stop)
            return
        if isinstance(message, Failed):
            self._failed = self._failed or message
        elif isinstance(message, Ready):
            worker.identity = message.worker
            self._announce(message, submitted)
        elif isinstance(message, Left):
            if not self.stopped:
                self._emit(Stopping(0))
            self.stopped = True
        else:
            self._pass_on(message)

    def _pass_on(self, event: Event) -> None:
        if isinstance(event, DatabaseAway | DatabaseBack):
            self._hear_of_the_database(event)
            return
        if isinstance(event, EpochDone | TrialEnded):
            self._deaths = 0
        self.finished += isinstance(event, TrialEnded)
        self._emit(event)

    def _hear_of_the_database(self, event: DatabaseAway | DatabaseBack) -> None:
        """Tell it once: what one worker misses, all do."""
        were_away = bool(self._away)
        if isinstance(event, DatabaseAway):
            self._away.add(event.worker)
        else:
            self._away.discard(event.worker)
        if bool(self._away) != were_away:
            self._emit(event)

    def _announce(self, ready: Ready, submitted: Submitted) -> None:
        if self._announced:
            return
        self._announced = True
        self._emit(
            StudyReady(
                study=self._order.study,
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

    def _ended(self, worker: Worker, submitted: Submitted, stop: StopFlag) -> None:
        worker.pipe.close()
        worker.process.join()
        self._away.discard(worker.identity)
        if worker.hung:
            # What it could not give back itself, as when its whole process was frozen.
            with suppress(StorageError):  # the lease then runs out by itself
                release_hung(self._store, submitted.study_id, worker.identity)
        if worker.process.exitcode == 0 or stop.signum or self._failed:
            return
        self._deaths += 1
        message = worker.obituary()
        self._emit(WorkerLost(worker.identity, message))
        self.problems.append(message)
        # A trial that kills its workers is given up before that.
        if self._deaths <= self._spec.max_deaths * len(self._team.workers):
            self._team.replace(worker, self._order)

    def _kill_hung(self, running: list[Worker]) -> None:
        limit = settings().hung_seconds + HUNG_GRACE_SECONDS
        for worker in running:
            if not worker.hung and worker.silent_seconds() > limit:
                worker.hung = True
                worker.process.kill()  # its pipe then says that it has ended
