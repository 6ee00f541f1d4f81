"""A worker as a Ray actor: the worker loop runs in a thread, as long as the command that started it polls."""

from __future__ import annotations

import os
import queue
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hpo.files import temporary_folder
from hpo.heartbeat import publish_to
from hpo.settings import settings
from hpo.signals import StopRequestedError
from hpo.storage.identity import worker_id
from hpo.trial.output import capture_to
from hpo.workers.messages import STOP_SECONDS, Message, WorkOrder, run_and_report

ANSWER_SECONDS = 1.0
"""A poll waits up to this long for a message."""
UNPOLLED_SECONDS = 60.0
"""A worker that is not polled for this long stops at a safe point: the command that started it is gone."""


@dataclass(frozen=True)
class WorkerUpdate:
    """What a worker did since it was last polled."""

    worker: str
    messages: tuple[Message, ...]
    silent_seconds: float
    """Time since its trial last made progress; 0 without a trial."""
    over: bool
    """Whether it has ended and has no more messages."""
    output: str
    """The file on its node that has its output."""


class ActorGoneError(Exception):
    """An actor did not answer: it died, or its node did. Unless ``for_good``, Ray restarts it."""

    def __init__(self, reason: str, for_good: bool) -> None:
        self.for_good = for_good
        super().__init__(reason)


class _ProgressClock:
    """The time of the last heartbeat."""

    value = 0.0


class RayWorker:
    """Serves studies from the first ``poll`` on; when it is no longer polled, it saves its trial and ends.

    ``environment`` are variables to set unless the node sets them, ``folder`` is the working directory if the
    node has it, ``end_actor`` ends the actor for good.
    """

    def __init__(
        self, order: WorkOrder, environment: Mapping[str, str], folder: str, end_actor: Callable[[], None]
    ) -> None:
        for name, value in environment.items():
            os.environ.setdefault(name, value)
        settings.cache_clear()
        with suppress(OSError):
            os.chdir(folder)
        self._order = order
        self._end_actor = end_actor
        self._output: Path | None = None
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._clock = _ProgressClock()
        publish_to(self._clock)
        self._stop = threading.Event()
        self._serving: threading.Thread | None = None
        self._polled = time.monotonic()
        threading.Thread(target=self._end_when_unpolled, name="unpolled", daemon=True).start()

    def poll(self) -> WorkerUpdate:
        """Return what happened since the last call; wait up to ``ANSWER_SECONDS`` for a message."""
        self._polled = time.monotonic()
        if self._serving is None:
            self._output = _print_to_file()
            self._serving = threading.Thread(target=self._serve, name="serve", daemon=True)
            self._serving.start()
            return self._update((), over=False)  # so that its identity is known, should it die at once
        over = not self._serving.is_alive()
        return self._update(tuple(self._take_messages(0.0 if over else ANSWER_SECONDS)), over)

    def stop(self) -> None:
        """Save the trial after the current step, release the slot, and end."""
        self._stop.set()

    def _update(self, messages: tuple[Message, ...], over: bool) -> WorkerUpdate:
        last = self._clock.value
        silent = time.monotonic() - last if last else 0.0
        if over:
            self._remove_output()
        return WorkerUpdate(worker_id(), messages, silent, over, str(self._output))

    def _take_messages(self, seconds: float) -> list[Message]:
        messages: list[Message] = []
        with suppress(queue.Empty):
            messages.append(self._messages.get(timeout=seconds))
            while True:
                messages.append(self._messages.get_nowait())
        return messages

    def _serve(self) -> None:
        try:
            run_and_report(self._work, self._messages.put)
        except BaseException:  # a bug ends this process, as it does a local one
            traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(1)

    def _work(self) -> None:
        from hpo.workers.loop import serve  # loads torch

        serve(self._order, self._messages.put, self._check_stop, on_ready=self._messages.put)

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise StopRequestedError

    def _end_when_unpolled(self) -> None:
        while (left := self._polled + UNPOLLED_SECONDS - time.monotonic()) > 0:
            time.sleep(left)
        self._stop.set()
        if self._serving is not None:
            self._serving.join(STOP_SECONDS)
        self._remove_output()
        self._end_actor()

    def _remove_output(self) -> None:
        if self._output is not None:
            shutil.rmtree(self._output.parent, ignore_errors=True)


def _print_to_file() -> Path:
    """Redirect this process's output to a file, from which it is kept with its trials."""
    output = temporary_folder("hpo-run-") / f"{os.getpid()}.log"
    log = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(log, 1)
    os.dup2(log, 2)
    capture_to(output)
    return output
