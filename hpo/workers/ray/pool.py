"""A pool of workers on a Ray cluster: each is an actor that Ray restarts when it dies."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from hpo.events import WorkersWaiting
from hpo.redact import redact
from hpo.settings import settings
from hpo.workers.messages import Crashed, CrashReport, Exited, Failed, Refused, Report
from hpo.workers.ray.actor import ActorGoneError

if TYPE_CHECKING:
    from hpo.workers.ray.cluster import Actor, Cluster

RESTART_POLL_SECONDS = 0.5
"""Interval at which an actor is polled that Ray is restarting."""
WAITING_SECONDS = 10.0
"""Workers may wait this long for room on the cluster before the run reports it."""
_REPORTED_LINES = 5


class ActorWorker:
    """One worker: its actor, and what is known of the process that runs it now."""

    def __init__(self, number: int, actor: Actor, cluster: Cluster) -> None:
        self.name = self.identity = f"worker-{number}"
        self.actor = actor
        self.output = ""
        """The file on its node that has its output."""
        self.refused = False
        self.asked_at = 0.0
        self.ask_at: float | None = 0.0
        """When to poll the actor again; None while an answer is pending."""
        self._cluster = cluster
        self.forget_process()

    def forget_process(self) -> None:
        """Forget a process that died."""
        self.identity = self.name
        self.hung = False
        self.progress_silence = 0.0

    @property
    def waits(self) -> bool:
        """Whether Ray has yet to start its process."""
        return self.identity == self.name

    def ask_if_due(self, now: float) -> None:
        """Poll the actor if that is due."""
        if self.ask_at is not None and now >= self.ask_at:
            self.actor.ask()
            self.asked_at, self.ask_at = now, None

    def silent_seconds(self) -> float:
        """Return the time since its trial made progress, or since it was polled if it does not answer."""
        if self.waits:
            return 0.0
        unanswered = time.monotonic() - self.asked_at if self.ask_at is None else 0.0
        return max(self.progress_silence, unanswered)

    def kill(self) -> None:
        """Kill the process; Ray restarts the actor."""
        self.actor.kill(restart=True)

    def crash_report(self) -> CrashReport:
        """Describe the death of its process, with the last lines of its output."""
        message = f"{self.name} died ({self.identity}); Ray restarts it"
        if self.hung:
            message = f"{self.name} hung: no progress for {settings().hung_seconds:g} s; Ray restarts it"
        host = self.identity.rsplit(":", 2)[0].partition("/")[0]
        output = redact(self._cluster.read_end(host, self.output))
        if output:
            last_lines = output.splitlines()[-_REPORTED_LINES:]
            message = "\n".join([message, *last_lines, f"full output: {host}:{self.output}"])
        return CrashReport(message, output)


class ActorPool:
    """Workers of one run on a cluster."""

    def __init__(self, cluster: Cluster, start_actor: Callable[[], Actor], count: int) -> None:
        self.count = count
        self.running: list[ActorWorker] = []
        self._cluster = cluster
        self._start_actor = start_actor
        self._started = 0.0
        self._served = False
        """Whether a worker ended because nothing is left to do."""
        self._checked_waiting = False

    def start(self) -> None:
        """Create the actors; each starts to work when it is polled for the first time."""
        self._started = time.monotonic()
        self.running = [
            ActorWorker(number + 1, self._start_actor(), self._cluster) for number in range(self.count)
        ]

    def poll(self, seconds: float) -> Iterator[tuple[ActorWorker, Report]]:
        """Yield what actors answered; wait at most ``seconds`` for an answer."""
        now = time.monotonic()
        for worker in self.running:
            worker.ask_if_due(now)
        asked = {worker.actor: worker for worker in self.running if worker.ask_at is None}
        for actor in self._cluster.answered(list(asked), seconds):
            yield from self._read_answer(asked[actor])
        if self._served:
            self._remove_waiting()
        else:
            yield from self._report_waiting()

    def restart(self, worker: ActorWorker) -> None:
        """Ray restarts the actor by itself."""
        worker.forget_process()

    def remove(self, worker: ActorWorker) -> None:
        """End the actor for good."""
        worker.actor.kill()
        self.running = [each for each in self.running if each is not worker]

    def stop(self) -> None:
        """Ask every worker to stop at a safe point; those without a process have nothing to save."""
        self._remove_waiting()
        for worker in self.running:
            worker.actor.stop()

    def end(self) -> None:
        """Kill all actors that still run; may be called again."""
        for worker in self.running:
            worker.actor.kill()
        self.running = []

    def _read_answer(self, worker: ActorWorker) -> Iterator[tuple[ActorWorker, Report]]:
        worker.ask_at = time.monotonic()
        try:
            update = worker.actor.answer()
        except ActorGoneError as gone:
            yield from self._report_gone(worker, gone)
            return
        if not worker.waits and worker.identity != update.worker:  # it died between two polls
            yield worker, Crashed()
            if worker not in self.running:
                return
        worker.identity, worker.output = update.worker, update.output
        worker.progress_silence = update.silent_seconds
        for message in update.messages:
            if isinstance(message, Failed) and message.exit_code == 2:
                worker.refused = True
                yield worker, Refused(message.message)
            else:
                yield worker, message
        if update.over:
            self._served |= not worker.refused
            yield worker, Exited(worker.refused)

    def _report_gone(self, worker: ActorWorker, gone: ActorGoneError) -> Iterator[tuple[ActorWorker, Report]]:
        worker.ask_at = time.monotonic() + RESTART_POLL_SECONDS
        if gone.for_good:
            self.remove(worker)
            yield worker, Refused(f"{worker.name} cannot be started: {gone}")
        elif not worker.waits:
            yield worker, Crashed()

    def _remove_waiting(self) -> None:
        for worker in [each for each in self.running if each.waits]:
            self.remove(worker)

    def _report_waiting(self) -> Iterator[tuple[ActorWorker, Report]]:
        """Report once that workers wait for room."""
        if self._checked_waiting or time.monotonic() - self._started <= WAITING_SECONDS:
            return
        self._checked_waiting = True
        waiting = [worker for worker in self.running if worker.waits]
        if waiting:
            yield waiting[0], WorkersWaiting(len(waiting), self.count)
