"""Worker processes of this machine: a pool that starts and stops them, and what each of them runs."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import ModuleType
from typing import Any

from hpo.files import temporary_folder
from hpo.heartbeat import publish_to
from hpo.limits import ControlGroups, memory
from hpo.redact import redact
from hpo.settings import settings
from hpo.signals import StopRequestedError, stop_on_signals, waiting_for_children
from hpo.storage.attempts import OUT_OF_MEMORY
from hpo.trial.output import capture_to, tail
from hpo.workers.messages import (
    STOP_SECONDS,
    Crashed,
    CrashReport,
    Exited,
    Message,
    Ready,
    Report,
    WorkOrder,
    run_and_report,
)

_REPORTED_LINES = 5


class WorkerProcess:
    """One worker process; its messages come through a pipe, its output goes to a file."""

    def __init__(self, name: str, folder: Path, kills: KernelKills) -> None:
        self.name = self.identity = name
        self._kills = kills
        self.output = folder / f"{name}.log"
        self.hung = False
        self.keeps_output = False
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._last_progress = context.Value("d", 0.0, lock=False)
        arguments = (theirs, str(self.output), self._last_progress)
        self.process = context.Process(target=_main, args=arguments, name=name, daemon=True)
        with _without_main():
            self.process.start()
        theirs.close()

    def send(self, order: WorkOrder) -> None:
        """Send the order; if the process is dead already, the next ``receive`` reports it."""
        with suppress(BrokenPipeError):
            self.pipe.send(order)

    def receive(self) -> Report:
        """Return the next message, or how the process ended."""
        try:
            message: Message = self.pipe.recv()
        except (EOFError, ConnectionResetError):  # the latter if it died before it read its order
            self.pipe.close()
            self.process.join()
            return Exited() if self.process.exitcode == 0 else Crashed()
        if isinstance(message, Ready):
            self.identity = message.worker
        return message

    def silent_seconds(self) -> float:
        """Return the time since its trial last made progress; 0 without a trial."""
        last: float = self._last_progress.value
        return time.monotonic() - last if last else 0.0

    def kill(self) -> None:
        """Kill the process; its pipe then ends."""
        self.process.kill()

    def end(self) -> None:
        """Kill the process if it still runs, and wait for its end."""
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
        self.pipe.close()

    def crash_report(self) -> CrashReport:
        """Describe its death: the cause, the last lines of its output, and the file, which is kept."""
        if self.hung:
            cause = f"no progress for {settings().hung_seconds:g} s; it was killed"
            message = f"{self.name} hung: {cause}"
        else:
            cause = _cause_of_death(self.process.exitcode, self._kills)
            message = f"{self.name} died ({cause})"
        output = of_last_trial = ""
        with suppress(OSError):
            of_last_trial = redact(tail(self.output))
            output = redact(self.output.read_text(encoding="utf-8", errors="replace")).strip()
        if output:
            self.output.write_text(output + "\n", encoding="utf-8")
            self.keeps_output = True
            last_lines = output.splitlines()[-_REPORTED_LINES:]
            message = "\n".join([message, *last_lines, f"full output: {self.output}"])
        return CrashReport(message, of_last_trial, cause)


class ProcessPool:
    """Worker processes of one run. They load their libraries while the study is still being submitted."""

    def __init__(self, order: WorkOrder, folder: Path) -> None:
        self.count = order.workers
        self._order = order
        self._folder = folder
        self._kills = KernelKills()
        self._spawned: list[WorkerProcess] = []
        self.running = [self._spawn() for _ in range(order.workers)]

    def start(self) -> None:
        """Send every worker its order."""
        for worker in self.running:
            worker.send(self._order)

    def poll(self, seconds: float) -> Iterator[tuple[WorkerProcess, Report]]:
        """Yield what workers report; wait at most ``seconds`` for it."""
        ready = wait([worker.pipe for worker in self.running], timeout=seconds)
        for worker in [each for each in self.running if each.pipe in ready]:
            yield worker, worker.receive()

    def restart(self, worker: WorkerProcess) -> None:
        """Replace a dead process with a new one."""
        replacement = self._spawn()
        replacement.send(self._order)
        self.running[self.running.index(worker)] = replacement

    def remove(self, worker: WorkerProcess) -> None:
        """Do not replace a process that ended."""
        self.running.remove(worker)

    def stop(self) -> None:
        """Ask every process to stop at a safe point."""
        for worker in self.running:
            if worker.process.is_alive():
                worker.process.terminate()

    def end(self) -> None:
        """Kill all processes that still run; may be called again."""
        for worker in self.running:
            worker.end()
        self.running = []

    def remove_output(self) -> None:
        """Delete the output of all processes but those that crashed."""
        for worker in self._spawned:
            if not worker.keeps_output:
                worker.output.unlink(missing_ok=True)
        with suppress(OSError):  # not empty
            self._folder.rmdir()

    def _spawn(self) -> WorkerProcess:
        worker = WorkerProcess(f"worker-{len(self._spawned) + 1}", self._folder, self._kills)
        self._spawned.append(worker)
        return worker


@contextmanager
def open_process_pool(order: WorkOrder) -> Iterator[ProcessPool]:
    """Provide ``order.workers`` local processes, which end with the block."""
    folder = temporary_folder("hpo-run-")
    with waiting_for_children():
        pool = ProcessPool(order, folder)
        try:
            yield pool
        finally:
            pool.end()
            pool.remove_output()


@contextmanager
def _without_main() -> Iterator[None]:
    """Keep a new process from importing the program that starts it: it needs nothing from there.

    A script that calls `hpo.run` then needs no ``if __name__ == "__main__"``.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


class KernelKills:
    """The processes that the kernel kills for lack of memory, by the count of their control group."""

    def __init__(self) -> None:
        self._seen = ControlGroups().oom_kills()

    def one_more(self) -> bool:
        """Return whether there was one that no call has reported yet."""
        now = ControlGroups().oom_kills()
        if now is None or self._seen is None or now <= self._seen:
            return False
        self._seen += 1
        return True


def _cause_of_death(exit_code: int | None, kills: KernelKills) -> str:
    if exit_code == -signal.SIGKILL and kills.one_more():
        return f"{OUT_OF_MEMORY}: the kernel killed it, with {memory().described}"
    if exit_code is not None and exit_code < 0:
        return f"killed by signal {-exit_code}" + (", out of memory?" if exit_code == -signal.SIGKILL else "")
    return f"exit code {exit_code}"


class _Channel:
    """Sends messages to the parent; all threads of a worker may use it.

    What is sent to a parent that is gone is dropped: the worker stops at its next safe point, and its trial
    did not fail.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()

    def __call__(self, message: Message) -> None:
        with self._lock, suppress(ConnectionError):
            self._pipe.send(message)


def _main(pipe: Connection, output: str, last_progress: Any) -> None:
    """Run a worker process from start to end."""
    _detach(output)
    publish_to(last_progress)
    parent = os.getppid()
    threading.Thread(target=_end_after_parent, name="parent", daemon=True).start()
    send = _Channel(pipe)
    with stop_on_signals() as stop:

        def check_stop() -> None:
            if os.getppid() != parent:  # the parent is gone
                raise StopRequestedError
            stop.check()

        def work() -> None:
            from hpo.workers.loop import serve  # loads torch: only here, never in the parent

            gc.freeze()  # modules stay: the garbage collection after each trial can skip them
            order: WorkOrder = pipe.recv()
            serve(order, send, check_stop, on_ready=send)

        try:
            code = run_and_report(work, send)
        except EOFError:  # before there was an order
            os._exit(0)
        # Exit at once: do not wait for threads that wait for the database, or for destructors of C++ code.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _end_after_parent() -> None:
    """End a worker whose parent died, if it does not reach a safe point by itself."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    time.sleep(STOP_SECONDS)
    os._exit(1)


def _detach(output: str) -> None:
    """Give the process its own group, so that Ctrl-C reaches only the parent, and its own log file."""
    os.setpgrp()
    log = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    capture_to(Path(output))
