"""Worker processes watched over until all have ended: what they say is passed on, dead ones are replaced."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import wait

from hpo.errors import StorageError, UserError, WorkerError
from hpo.events import DatabaseAway, DatabaseBack, EpochDone, Stopping, TrialEnded, WorkerLost
from hpo.queue.leases import release_dead_local, release_hung
from hpo.settings import settings
from hpo.signals import StopFlag
from hpo.storage.attempts import keep_last_output
from hpo.storage.retry import RetryPolicy
from hpo.storage.store import ResultsStore
from hpo.workers.messages import Emit, Failed, Message, Ready, StoppedByUser, WorkOrder
from hpo.workers.process import STOP_SECONDS, ProcessPool, Worker

POLL_SECONDS = 0.2
HUNG_GRACE_SECONDS = 5.0
"""A hung worker gives its slot back by itself, if it still can, before it is killed."""


class WorkerEvents:
    """What workers say to whoever watches over them: passed on, and what it means for the whole work."""

    def __init__(self, emit: Emit) -> None:
        self.problems: list[str] = []
        self.stopped = False
        """Whether `hpo stop` ended the work."""
        self.failed: Failed | None = None
        """What ended it, if a worker said so."""
        self._emit = emit
        self._deaths = 0
        """Since a trial got on."""
        self._away: set[str] = set()
        """Workers that the database does not answer."""

    def hear(self, message: Message) -> None:
        """Take in what a worker says, but for who it is."""
        if isinstance(message, Failed):
            self.failed = self.failed or message
        elif isinstance(message, StoppedByUser):
            if not self.stopped:
                self._emit(Stopping(0))
            self.stopped = True
        elif isinstance(message, DatabaseAway | DatabaseBack):
            self._hear_of_the_database(message)
        elif not isinstance(message, Ready):
            if isinstance(message, EpochDone | TrialEnded):
                self._deaths = 0
            self._emit(message)

    def leaves(self, worker: str) -> None:
        """A worker has ended."""
        self._away.discard(worker)

    def lost(self, worker: str, message: str) -> int:
        """A worker has ended that should not have; how many did since a trial got on."""
        self._deaths += 1
        self._emit(WorkerLost(worker, message))
        self.problems.append(message)
        return self._deaths

    def raise_failure(self) -> None:
        """Raises ``UserError`` or ``WorkerError`` with what a worker said."""
        if self.failed is not None:
            kind = UserError if self.failed.exit_code == 2 else WorkerError
            raise kind(self.failed.message)

    def _hear_of_the_database(self, event: DatabaseAway | DatabaseBack) -> None:
        """Tell it once: what one worker misses, all do."""
        were_away = bool(self._away)
        if isinstance(event, DatabaseAway):
            self._away.add(event.worker)
        else:
            self._away.discard(event.worker)
        if bool(self._away) != were_away:
            self._emit(event)


class Supervisor:
    """A team with one order. When ``most_deaths`` workers died before a trial got on, none is replaced."""

    def __init__(
        self, team: ProcessPool, store: ResultsStore, order: WorkOrder, emit: Emit, most_deaths: int
    ) -> None:
        self.heard = WorkerEvents(emit)
        self.count = len(team.workers)
        self._team = team
        self._store = store
        self._order = order
        self._emit = emit
        self._most_deaths = most_deaths

    def work(self, stop: StopFlag, on_ready: Callable[[Ready], None]) -> None:
        """Until all workers have ended. Raises ``UserError`` or ``WorkerError`` with a worker's message."""
        for worker in self._team.workers:
            worker.order(self._order)
        deadline: float | None = None
        running = list(self._team.workers)
        while running:
            if stop.signum and deadline is None:
                self._emit(Stopping(stop.signum))
            if (stop.signum or self.heard.failed) and deadline is None:
                self._team.stop()
                deadline = time.monotonic() + STOP_SECONDS
            if deadline is not None and time.monotonic() > deadline:
                break
            for ready in wait([worker.pipe for worker in running], timeout=POLL_SECONDS):
                worker = next(worker for worker in running if worker.pipe is ready)
                self._listen(worker, on_ready, stop)
            self._kill_hung(running)
            running = [worker for worker in self._team.workers if not worker.pipe.closed]
        self.heard.raise_failure()

    def end(self) -> None:
        """Kill whoever still runs."""
        self._team.end()

    def _listen(self, worker: Worker, on_ready: Callable[[Ready], None], stop: StopFlag) -> None:
        try:
            message: Message = worker.pipe.recv()
        except (EOFError, ConnectionResetError):  # the latter if it died before it read its order
            self._ended(worker, stop)
            return
        if isinstance(message, Ready):
            worker.identity = message.worker
            on_ready(message)
        self.heard.hear(message)

    def _ended(self, worker: Worker, stop: StopFlag) -> None:
        worker.pipe.close()
        worker.process.join()
        self.heard.leaves(worker.identity)
        if worker.hung:
            # What it could not give back itself, as when its whole process was frozen.
            with suppress(StorageError):  # the lease then runs out by itself
                release_hung(self._store, worker.identity)
        if worker.process.exitcode == 0 or stop.signum or self.heard.failed:
            return
        text = worker.printed()
        if text:
            with suppress(StorageError):
                self._store.write(
                    lambda connection: keep_last_output(connection, worker.identity, text), RetryPolicy(0.0)
                )
        with suppress(StorageError):  # its replacement then does it, or the lease runs out
            release_dead_local(self._store, None, RetryPolicy(0.0))
        # A trial that kills its workers is given up before that.
        if self.heard.lost(worker.identity, worker.obituary()) <= self._most_deaths:
            self._team.replace(worker, self._order)

    def _kill_hung(self, running: list[Worker]) -> None:
        limit = settings().hung_seconds + HUNG_GRACE_SECONDS
        for worker in running:
            if not worker.hung and worker.silent_seconds() > limit:
                worker.hung = True
                worker.process.kill()  # its pipe then says that it has ended
