"""A worker as an actor: the loop of every worker, in a thread, for as long as somebody asks how it goes."""

from __future__ import annotations

import os
import queue
import shutil
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hpo.heartbeat import publish_to
from hpo.settings import settings
from hpo.signals import StopRequestedError
from hpo.storage.identity import worker_id
from hpo.trial.output import capture_to
from hpo.workers.messages import Message, WorkOrder, run_and_report
from hpo.workers.process import STOP_SECONDS

ANSWER_SECONDS = 1.0
"""How long an answer waits for something to tell."""
UNASKED_SECONDS = 60.0
"""A worker that nobody asks for so long stops at a safe point: the command that started it is gone."""


@dataclass(frozen=True)
class News:
    """What a worker did since it was last asked."""

    worker: str
    messages: tuple[Message, ...]
    silent_seconds: float
    """For how long its trial has made no progress; 0 if it has none."""
    over: bool
    """Whether it has ended, and has no more to tell."""
    output: str
    """The file on its node into which it prints."""


class ActorGoneError(Exception):
    """An actor did not answer: it died, or its node did. Unless ``for_good``, Ray starts it again."""

    def __init__(self, reason: str, for_good: bool) -> None:
        self.for_good = for_good
        super().__init__(reason)


class _Clock:
    """When the last sign of progress came."""

    value = 0.0


class RayWorker:
    """Serves as ordered from the first ``go_on`` on; once nobody calls that any more, it saves and leaves.

    ``environment`` are variables for where the node has none of that name, ``folder`` is worked in where the
    node has it, ``leave`` ends the actor for good.
    """

    def __init__(
        self, order: WorkOrder, environment: Mapping[str, str], folder: str, leave: Callable[[], None]
    ) -> None:
        for name, value in environment.items():
            os.environ.setdefault(name, value)
        settings.cache_clear()
        with suppress(OSError):
            os.chdir(folder)
        self._order = order
        self._leave = leave
        self._output: Path | None = None
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._clock = _Clock()
        publish_to(self._clock)
        self._stop = threading.Event()
        self._serving: threading.Thread | None = None
        self._asked = time.monotonic()
        threading.Thread(target=self._leave_when_unasked, name="unasked", daemon=True).start()

    def go_on(self) -> News:
        """What happened since the last call; waits for something at most ``ANSWER_SECONDS``."""
        self._asked = time.monotonic()
        if self._serving is None:
            self._output = _print_to_file()
            self._serving = threading.Thread(target=self._serve, name="serve", daemon=True)
            self._serving.start()
            return self._news((), over=False)  # so that it is known who dies, if it dies at once
        over = not self._serving.is_alive()
        return self._news(tuple(self._heard(0.0 if over else ANSWER_SECONDS)), over)

    def stop(self) -> None:
        """Save after the step under way, give the slot back, and end."""
        self._stop.set()

    def _news(self, messages: tuple[Message, ...], over: bool) -> News:
        last = self._clock.value
        silent = time.monotonic() - last if last else 0.0
        if over:
            self._remove_output()
        return News(worker_id(), messages, silent, over, str(self._output))

    def _heard(self, seconds: float) -> list[Message]:
        heard: list[Message] = []
        with suppress(queue.Empty):
            heard.append(self._messages.get(timeout=seconds))
            while True:
                heard.append(self._messages.get_nowait())
        return heard

    def _serve(self) -> None:
        try:
            run_and_report(self._work, self._messages.put)
        except BaseException:  # a bug: as with any process, it ends this one
            traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(1)

    def _work(self) -> None:
        from hpo.workers.loop import serve  # loads torch

        serve(self._order, self._messages.put, self._check, on_ready=self._messages.put)

    def _check(self) -> None:
        if self._stop.is_set():
            raise StopRequestedError

    def _leave_when_unasked(self) -> None:
        while (left := self._asked + UNASKED_SECONDS - time.monotonic()) > 0:
            time.sleep(left)
        self._stop.set()
        if self._serving is not None:
            self._serving.join(STOP_SECONDS)
        self._remove_output()
        self._leave()

    def _remove_output(self) -> None:
        if self._output is not None:
            shutil.rmtree(self._output.parent, ignore_errors=True)


def _print_to_file() -> Path:
    """What this process prints from now on is kept with the trials that it came in, as any worker's is."""
    output = Path(tempfile.mkdtemp(prefix="hpo-run-")) / f"{os.getpid()}.log"
    log = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(log, 1)
    os.dup2(log, 2)
    capture_to(output)
    return output
