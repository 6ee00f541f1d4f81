"""Processes of this machine that train: how they are started and asked to stop, what they say and print."""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import ModuleType
from typing import Any

from hpo.heartbeat import publish_to
from hpo.redact import redact
from hpo.settings import settings
from hpo.signals import StopRequestedError, stop_on_signals
from hpo.trial.output import capture_to, tail
from hpo.workers.messages import Message, WorkOrder, run_and_report

STOP_SECONDS = 30.0
"""How long workers may take to reach a safe point after a signal before they are killed."""


class Worker:
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
        with _without_main():
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

    def printed(self) -> str:
        """The end of what it printed since its last trial ended."""
        with suppress(OSError):
            return redact(tail(self.output))
        return ""

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


class ProcessPool:
    """The local workers of one run. They load their libraries while the study is still being submitted."""

    def __init__(self, count: int, folder: Path) -> None:
        self._folder = folder
        self._hired: list[Worker] = []
        self.workers = [self.hire() for _ in range(count)]

    def hire(self) -> Worker:
        """One more process."""
        new = Worker(f"worker-{len(self._hired) + 1}", self._folder)
        self._hired.append(new)
        return new

    def replace(self, dead: Worker, order: WorkOrder) -> None:
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
def _without_main() -> Iterator[None]:
    """A new process would run the program that starts it once more, for what that defines: nothing here.

    A script that calls `hpo.run` needs no ``if __name__ == "__main__"`` then.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def open_process_pool(count: int) -> Iterator[ProcessPool]:
    """So many local workers, which end with the block."""
    folder = Path(tempfile.mkdtemp(prefix="hpo-run-"))
    team = ProcessPool(count, folder)
    try:
        yield team
    finally:
        team.end()
        team.remove_output()


def _death(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"killed by signal {-exit_code}" + (", out of memory?" if exit_code == -9 else "")
    return f"exit code {exit_code}"


class _Voice:
    """What a worker says to its parent, from whichever of its threads."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()

    def __call__(self, message: Message) -> None:
        with self._lock:
            self._pipe.send(message)


def _main(pipe: Connection, output: str, last_progress: Any) -> None:
    """A worker process from start to end."""
    _detach(output)
    publish_to(last_progress)
    parent = os.getppid()
    threading.Thread(target=_end_after_parent, name="parent", daemon=True).start()
    say = _Voice(pipe)
    with stop_on_signals() as stop:

        def check() -> None:
            if os.getppid() != parent:  # nobody listens any more
                raise StopRequestedError
            stop.check()

        def work() -> None:
            from hpo.workers.loop import serve  # loads torch: only here, never in the parent

            gc.freeze()  # the modules are here to stay: looking for garbage after each trial passes them by
            order: WorkOrder = pipe.recv()
            serve(order, say, check, on_ready=say)

        try:
            code = run_and_report(work, say)
        except (EOFError, BrokenPipeError):
            os._exit(0)
        # As it is: a thread that still waits for the database, or its place in C++ code, is not waited for.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


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
    capture_to(Path(output))
