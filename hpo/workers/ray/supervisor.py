"""Actors watched over until all have ended: what they say is passed on, hung ones are killed."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from hpo.errors import StorageError
from hpo.events import Stopping, WorkersWaiting
from hpo.queue.leases import release_dead_local, release_hung
from hpo.redact import redact
from hpo.settings import settings
from hpo.signals import StopFlag
from hpo.storage.attempts import keep_last_output
from hpo.storage.retry import RetryPolicy
from hpo.storage.store import ResultsStore
from hpo.workers.messages import Emit, Failed, Ready
from hpo.workers.process import STOP_SECONDS
from hpo.workers.ray.actor import ActorGoneError, News
from hpo.workers.supervisor import HUNG_GRACE_SECONDS, POLL_SECONDS, WorkerEvents

if TYPE_CHECKING:
    from hpo.workers.ray.cluster import Actor, Cluster

ASK_AGAIN_SECONDS = 0.5
"""Between questions to an actor that Ray is starting again."""
WAITING_SECONDS = 10.0
"""For so long workers may wait for room before it is said."""
_LINES = 5


class _Placed:
    """An actor, and what is known of it."""

    def __init__(self, number: int, actor: Actor) -> None:
        self.name = f"worker-{number}"
        self.actor = actor
        self.identity = ""
        """As the database knows it; empty while Ray has yet to start it."""
        self.output = ""
        self.ready = False
        self.hung = False
        self.refused = False
        self.asked = 0.0
        self.ask_at: float | None = 0.0
        """When to ask; None while an answer is to come."""

    @property
    def host(self) -> str:
        return self.identity.rsplit(":", 2)[0].partition("/")[0]

    def ask_if_due(self, now: float) -> None:
        """Ask how it goes, if that is due."""
        if self.ask_at is not None and now >= self.ask_at:
            self.actor.ask()
            self.asked, self.ask_at = now, None


class RaySupervisor:
    """Workers of a cluster. When ``most_deaths`` died before a trial got on, none is started again."""

    def __init__(
        self,
        cluster: Cluster,
        hire: Callable[[], Actor],
        count: int,
        store: ResultsStore,
        emit: Emit,
        most_deaths: int,
    ) -> None:
        self.heard = WorkerEvents(emit)
        self.count = count
        self._cluster = cluster
        self._hire = hire
        self._store = store
        self._emit = emit
        self._most_deaths = most_deaths
        self._running: list[_Placed] = []
        self._refusals: list[tuple[_Placed, str]] = []
        """Why workers left that could not serve; those that nobody has been told of."""
        self._served = False
        """Whether a worker has ended because nothing is left to do."""
        self._said_waiting = False

    def work(self, stop: StopFlag, on_ready: Callable[[Ready], None]) -> None:
        """Until all workers have ended. Raises ``UserError`` or ``WorkerError`` with a worker's message."""
        self._running = [_Placed(number + 1, self._hire()) for number in range(self.count)]
        started = time.monotonic()
        deadline: float | None = None
        while self._running:
            if stop.signum and deadline is None:
                self._emit(Stopping(stop.signum))
            if (stop.signum or self.heard.failed) and deadline is None:
                self._stop()
                deadline = time.monotonic() + STOP_SECONDS
            if deadline is not None and time.monotonic() > deadline:
                break
            self._listen(on_ready, stop)
            self._kill_frozen()
            if self._served:
                self._dismiss_waiting()
            elif time.monotonic() - started > WAITING_SECONDS:
                self._say_waiting()
        self.end()
        self.heard.raise_failure()
        if self._refusals and not (self._served or stop.signum or self.heard.stopped):
            self.heard.hear(Failed(self._refusals[0][1], 2))
            self.heard.raise_failure()

    def end(self) -> None:
        """Kill whoever still runs."""
        for placed in self._running:
            placed.actor.kill()
        self._running = []

    def _listen(self, on_ready: Callable[[Ready], None], stop: StopFlag) -> None:
        now = time.monotonic()
        for placed in self._running:
            placed.ask_if_due(now)
        asked = {placed.actor: placed for placed in self._running if placed.ask_at is None}
        for actor in self._cluster.answered(list(asked), POLL_SECONDS):
            placed = asked[actor]
            placed.ask_at = time.monotonic()
            try:
                news = actor.answer()
            except ActorGoneError as gone:
                self._gone(placed, gone, stop)
            else:
                self._hear(placed, news, on_ready, stop)

    def _hear(self, placed: _Placed, news: News, on_ready: Callable[[Ready], None], stop: StopFlag) -> None:
        if placed.identity and placed.identity != news.worker:  # it died between two questions
            self._died(placed, stop)
        placed.identity, placed.output = news.worker, news.output
        for message in news.messages:
            if isinstance(message, Ready):
                placed.ready = True
                on_ready(message)
            if isinstance(message, Failed) and message.exit_code == 2:
                placed.refused = True
                self._refusals.append((placed, message.message))
            else:
                self.heard.hear(message)
        if news.over:
            self._served |= not placed.refused
            self.heard.leaves(placed.identity)
            self._dismiss(placed)
        elif news.silent_seconds > settings().hung_seconds + HUNG_GRACE_SECONDS:
            self._kill_hung(placed)
        self._tell_refusals()

    def _gone(self, placed: _Placed, gone: ActorGoneError, stop: StopFlag) -> None:
        placed.ask_at = time.monotonic() + ASK_AGAIN_SECONDS
        if gone.for_good:
            self._dismiss(placed)
            self._refusals.append((placed, f"{placed.name} cannot be started: {gone}"))
            self._tell_refusals()
        elif placed.identity:
            self._died(placed, stop)

    def _died(self, placed: _Placed, stop: StopFlag) -> None:
        worker = placed.identity
        self.heard.leaves(worker)
        if placed.hung:
            with suppress(StorageError):  # the lease then runs out by itself
                release_hung(self._store, worker)
        if stop.signum or self.heard.failed:
            self._dismiss(placed)  # once started again it would begin anew
        else:
            obituary = self._obituary(placed)
            with suppress(StorageError):  # as above; of other machines nothing is known
                release_dead_local(self._store, None, RetryPolicy(0.0))
            if self.heard.lost(worker, obituary) > self._most_deaths:
                self._dismiss(placed)
        placed.identity, placed.ready, placed.hung = "", False, False

    def _obituary(self, placed: _Placed) -> str:
        """How it ended, and the end of what it printed, which is kept with its trial too."""
        how = f"{placed.name} died ({placed.identity}); Ray starts it again"
        if placed.hung:
            how = f"{placed.name} hung: no progress for {settings().hung_seconds:g} s; Ray starts it again"
        text = redact(self._cluster.read_end(placed.host, placed.output))
        if not text:
            return how
        with suppress(StorageError):
            self._store.write(
                lambda connection: keep_last_output(connection, placed.identity, text), RetryPolicy(0.0)
            )
        last = text.splitlines()[-_LINES:]
        return "\n".join([how, *last, f"all that it printed: {placed.host}:{placed.output}"])

    def _stop(self) -> None:
        """Ask those that work to stop; those that wait for room have nothing to save."""
        self._dismiss_waiting()
        for placed in self._running:
            placed.actor.stop()

    def _dismiss_waiting(self) -> None:
        for placed in [each for each in self._running if not each.identity]:
            self._dismiss(placed)

    def _dismiss(self, placed: _Placed) -> None:
        placed.actor.kill()
        self._running = [each for each in self._running if each is not placed]

    def _kill_frozen(self) -> None:
        """A process that answers nothing at all."""
        limit = settings().hung_seconds + HUNG_GRACE_SECONDS
        for placed in self._running:
            if placed.identity and placed.ask_at is None and time.monotonic() - placed.asked > limit:
                self._kill_hung(placed)

    def _kill_hung(self, placed: _Placed) -> None:
        if not placed.hung:
            placed.hung = True
            placed.actor.kill(start_again=True)  # the answer then says that it is gone

    def _say_waiting(self) -> None:
        waiting = sum(not placed.identity for placed in self._running)
        if waiting and not self._said_waiting:
            self._emit(WorkersWaiting(waiting, self.count))
        self._said_waiting = True

    def _tell_refusals(self) -> None:
        """While others serve, a worker that cannot is a loss; if none can, the reason ends the run."""
        if not any(placed.ready for placed in self._running):
            return
        while self._refusals:
            placed, why = self._refusals.pop()
            self.heard.lost(placed.identity or placed.name, f"{placed.name} left: {why}")
