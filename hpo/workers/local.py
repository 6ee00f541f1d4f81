"""Workers as processes of this machine, and the run that watches over them."""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, TypeAlias

from hpo.diagnosis import refresh
from hpo.errors import HpoError, StorageError, UserError, WorkerError
from hpo.events import Event, RunSummary, Stopping, StudyReady, TrialEnded, WorkerLost
from hpo.pulse import show_on
from hpo.queue.leases import release_dead_local, release_hung
from hpo.queue.slots import progress
from hpo.recovery.signals import StopFlag, StopRequestedError, StudyStoppedError, stop_on_signals
from hpo.redact import redact
from hpo.results.store import ResultsStore
from hpo.settings import settings
from hpo.spec.study import StudySpec
from hpo.workers.base import Emit, Ready, WorkOrder
from hpo.workers.submit import Submitted, submit

STOP_SECONDS = 30.0
"""How long workers may take to reach a safe point after a signal before they are killed."""
POLL_SECONDS = 0.2
HUNG_GRACE_SECONDS = 5.0
"""A hung worker gives its slot back by itself, if it still can, before it is killed."""
MOST_DEATHS = 3
"""Times that each worker may die and be replaced before a trial ends again. A trial that kills its workers is
given up after as many (`hpo.trial.MOST_DEATHS`)."""


@dataclass(frozen=True)
class Failed:
    """A worker ended with an error that has words."""

    message: str
    exit_code: int


@dataclass(frozen=True)
class Left:
    """A worker left because of `hpo stop`."""


Message: TypeAlias = Ready | Failed | Left | Event


def run_study(spec: StudySpec, storage_url: str, *, workers: int, device: str, on_event: Emit) -> RunSummary:
    """Submit the study, or take it up again, and serve it with local processes until it is done.

    After SIGINT or SIGTERM the workers stop at a safe point, give their slots back, and the summary says so.
    Raises ``UserError`` or ``WorkerError`` with a worker's message if no worker can go on.
    """
    started = time.monotonic()
    with stop_on_signals() as stop, _team(workers) as team, ResultsStore(storage_url) as store:
        submitted = submit(store, spec)
        order = WorkOrder(storage_url, spec.study, device, workers)
        watch = _Watch(team, store, submitted, order, on_event)
        if submitted.at_start.done < submitted.at_start.total:
            watch.until_done(stop)
        team.end()
        release_dead_local(store, submitted.study_id)
        refresh(store, spec.study)
        now = progress(store, submitted.study_id)
    return RunSummary(
        study=spec.study,
        finished=now.done,
        total=now.total,
        interrupted=bool(stop.signum),
        seconds=time.monotonic() - started,
        exit_code=stop.exit_code if stop.signum else int(now.done < now.total),
        stopped=watch.stopped,
        problems=watch.problems,
    )


class _Worker:
    """One worker process: what it says comes through a pipe, what it prints goes to a file."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.identity = name
        """As the database knows it, once it has said so."""
        self.output = folder / f"{name}.log"
        self.hung = False
        self.keeps_output = False
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._last_progress = context.Value("d", 0.0, lock=False)
        arguments = (theirs, str(self.output), self._last_progress)
        self.process = context.Process(target=_main, args=arguments, name=name, daemon=True)
        self.process.start()
        theirs.close()

    def order(self, order: WorkOrder) -> None:
        """Tell it what to do; if it is dead already, its pipe says so when it is read."""
        with suppress(BrokenPipeError):
            self.pipe.send(order)

    def silent_seconds(self) -> float:
        """For how long its trial has made no progress; 0 if it has none."""
        last: float = self._last_progress.value
        return time.monotonic() - last if last else 0.0

    def obituary(self, lines: int = 5) -> str:
        """How the process ended, the end of what it printed, and where all of it is; that file stays."""
        how = f"{self.name} died ({_death(self.process.exitcode)})"
        if self.hung:
            how = f"{self.name} hung: no progress for {settings().hung_seconds:g} s; it was killed"
        written = ""
        with suppress(OSError):
            written = redact(self.output.read_text(errors="replace")).strip()
        if not written:
            return how
        self.output.write_text(written + "\n")
        self.keeps_output = True
        return "\n".join([how, *written.splitlines()[-lines:], f"all that it printed: {self.output}"])


class _Team:
    """The local workers of one run. They load their libraries while the study is still being submitted."""

    def __init__(self, count: int, folder: Path) -> None:
        self._folder = folder
        self._hired: list[_Worker] = []
        self.workers = [self.hire() for _ in range(count)]

    def hire(self) -> _Worker:
        """One more process."""
        new = _Worker(f"worker-{len(self._hired) + 1}", self._folder)
        self._hired.append(new)
        return new

    def replace(self, dead: _Worker, order: WorkOrder) -> None:
        """A new process in the place of a dead one."""
        new = self.hire()
        new.order(order)
        self.workers[self.workers.index(dead)] = new

    def stop(self) -> None:
        """Ask every process to stop at a safe point."""
        for worker in self.workers:
            if worker.process.is_alive():
                worker.process.terminate()

    def end(self) -> None:
        """Kill whatever still runs; may be called again."""
        for worker in self.workers:
            if worker.process.is_alive():
                worker.process.kill()
            worker.process.join()
            worker.pipe.close()

    def remove_output(self) -> None:
        """Remove what workers printed, but for those that died."""
        for worker in self._hired:
            if not worker.keeps_output:
                worker.output.unlink(missing_ok=True)
        with suppress(OSError):  # not empty
            self._folder.rmdir()


@contextmanager
def _team(count: int) -> Iterator[_Team]:
    folder = Path(tempfile.mkdtemp(prefix="hpo-run-"))
    team = _Team(count, folder)
    try:
        yield team
    finally:
        team.end()
        team.remove_output()


class _Watch:
    """Passes on what the workers say, until all of them have ended."""

    def __init__(
        self, team: _Team, store: ResultsStore, submitted: Submitted, order: WorkOrder, emit: Emit
    ) -> None:
        self.problems: list[str] = []
        self.stopped = False
        """Whether `hpo stop` ended the run."""
        self._team = team
        self._store = store
        self._submitted = submitted
        self._order = order
        self._emit = emit
        self._announced = False
        self._deaths = 0
        self._failed: Failed | None = None

    def until_done(self, stop: StopFlag) -> None:
        for worker in self._team.workers:
            worker.order(self._order)
        deadline: float | None = None
        running = list(self._team.workers)
        while running:
            if stop.signum and deadline is None:
                self._emit(Stopping(stop.signum))
                self._team.stop()
                deadline = time.monotonic() + STOP_SECONDS
            if self._failed and deadline is None:
                self._team.stop()
                deadline = time.monotonic() + STOP_SECONDS
            if deadline is not None and time.monotonic() > deadline:
                break
            for ready in wait([worker.pipe for worker in running], timeout=POLL_SECONDS):
                self._listen(next(worker for worker in running if worker.pipe is ready), stop)
            self._kill_hung(running)
            running = [worker for worker in self._team.workers if not worker.pipe.closed]
        self._raise_failure()

    def _raise_failure(self) -> None:
        if self._failed is not None:
            kind = UserError if self._failed.exit_code == 2 else WorkerError
            raise kind(self._failed.message)

    def _listen(self, worker: _Worker, stop: StopFlag) -> None:
        try:
            message: Message = worker.pipe.recv()
        except (EOFError, ConnectionResetError):  # the latter if it died before it read its order
            self._ended(worker, stop)
            return
        if isinstance(message, Failed):
            self._failed = self._failed or message
        elif isinstance(message, Ready):
            worker.identity = message.worker
            self._announce(message)
        elif isinstance(message, Left):
            if not self.stopped:
                self._emit(Stopping(0))
            self.stopped = True
        else:
            if isinstance(message, TrialEnded):
                self._deaths = 0
            self._emit(message)

    def _announce(self, ready: Ready) -> None:
        if self._announced:
            return
        self._announced = True
        self._emit(
            StudyReady(
                study=self._order.study,
                dataset=self._submitted.dataset,
                origin=self._submitted.origin,
                trials_done=self._submitted.at_start.done,
                trials_total=self._submitted.at_start.total,
                workers=len(self._team.workers),
                threads_per_worker=ready.threads,
                device=ready.device,
                precision=ready.precision,
                reclaimed=self._submitted.reclaimed,
            )
        )

    def _ended(self, worker: _Worker, stop: StopFlag) -> None:
        worker.pipe.close()
        worker.process.join()
        if worker.hung:
            self._give_back(worker)
        if worker.process.exitcode == 0 or stop.signum or self._failed:
            return
        self._deaths += 1
        message = worker.obituary()
        self._emit(WorkerLost(worker.identity, message))
        self.problems.append(message)
        if self._deaths <= MOST_DEATHS * len(self._team.workers):
            self._team.replace(worker, self._order)

    def _kill_hung(self, running: list[_Worker]) -> None:
        limit = settings().hung_seconds + HUNG_GRACE_SECONDS
        for worker in running:
            if not worker.hung and worker.silent_seconds() > limit:
                worker.hung = True
                worker.process.kill()  # its pipe then says that it has ended

    def _give_back(self, worker: _Worker) -> None:
        """What it could not give back itself, as when its whole process was frozen."""
        with suppress(StorageError):  # the lease then runs out by itself
            release_hung(self._store, self._submitted.study_id, worker.identity)


def _death(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"killed by signal {-exit_code}" + (", out of memory?" if exit_code == -9 else "")
    return f"exit code {exit_code}"


def _main(pipe: Connection, output: str, last_progress: Any) -> None:
    """A worker process from start to end."""
    _detach(output)
    show_on(last_progress)
    parent = os.getppid()
    threading.Thread(target=_end_after_parent, name="parent", daemon=True).start()
    with stop_on_signals() as stop:

        def check() -> None:
            if os.getppid() != parent:  # nobody listens any more
                raise StopRequestedError
            stop.check()

        try:
            from hpo.workers.inline import serve  # loads torch: only here, never in the parent

            order: WorkOrder = pipe.recv()
            serve(order, pipe.send, check, on_ready=pipe.send)
        except StudyStoppedError:
            pipe.send(Left())
            os._exit(0)
        except (StopRequestedError, EOFError, BrokenPipeError):
            os._exit(0)
        except HpoError as error:
            traceback.print_exc()
            pipe.send(Failed(str(error), error.exit_code))
            sys.exit(error.exit_code)


def _end_after_parent() -> None:
    """A worker without a parent stops at a safe point; one that comes to none is ended all the same."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    time.sleep(STOP_SECONDS)
    os._exit(1)


def _detach(output: str) -> None:
    """Own process group (Ctrl-C reaches the parent alone), own log file."""
    os.setpgrp()
    log = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
