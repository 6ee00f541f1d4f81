"""An idle worker sends no queries and is notified of changes, also after a restart of the server."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, event

from hpo.events import Event, TrialEnded, TrialStarted
from hpo.queue.listener import Wakeups
from hpo.signals import StopRequestedError
from hpo.workers import loop
from hpo.workers.loop import serve
from hpo.workers.messages import WorkOrder
from tests.helpers.killable_workers import rows, submit
from tests.helpers.servers import Server
from tests.helpers.waiting import wait_until

pytestmark = [pytest.mark.usefixtures("same_settings"), pytest.mark.timeout(100)]


class Idler:
    """A worker in this thread whose rests another thread watches; it polls rarely."""

    def __init__(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(loop, "QUIET_SECONDS", 150.0)
        self.events: list[Event] = []
        self.statements: list[str] = []
        self.rests = 0
        self.listened_in_training: list[bool] = []
        self.over = threading.Event()
        self._url = url
        self._wait = Wakeups.wait
        monkeypatch.setattr(Wakeups, "wait", lambda wakeups, seconds: self._rest(wakeups, seconds))

    def _rest(self, wakeups: Wakeups, seconds: float) -> bool:
        self._wakeups = wakeups
        told = self._wait(wakeups, min(seconds, 0.05))
        self.rests = 0 if told else self.rests + 1
        return told

    def serve(self) -> None:
        """Serve until it is over."""
        mine = threading.get_ident()

        def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if threading.get_ident() == mine:
                self.statements.append(statement)

        event.listen(Engine, "before_cursor_execute", note)
        try:
            with pytest.raises(StopRequestedError):
                order = WorkOrder(self._url, (), "cpu", 2, service=True, waits=True)
                serve(order, self._on_event, self._check_stop, lambda ready: None)
        finally:
            event.remove(Engine, "before_cursor_execute", note)

    def _on_event(self, emitted: Event) -> None:
        self.events.append(emitted)
        if isinstance(emitted, TrialStarted):
            self.listened_in_training.append(self._wakeups.listens)

    def _check_stop(self) -> None:
        if self.over.is_set():
            raise StopRequestedError

    def wait_until_at_rest(self, rests: int = 3) -> None:
        """Wait until it has rested a number of times, each for a twentieth of a second."""
        self.rests = 0
        wait_until(lambda: self.rests >= rests, f"{rests} rests")

    def trained(self) -> int:
        return sum(isinstance(each, TrialEnded) for each in self.events)


def _in_another_thread(work: Callable[[], None], idler: Idler) -> Callable[[], None]:
    """Start the work; the returned function waits for its end and raises its error."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as failure:
            failures.append(failure)
        finally:
            idler.over.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def join() -> None:
        thread.join(60)
        assert not thread.is_alive(), "the scenario did not end within 60 s"
        if failures:
            raise failures[0]

    return join


def test_idle_worker_sends_no_query_until_it_is_notified(
    server: Server, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    idler = Idler(url, monkeypatch)

    def scenario() -> None:
        idler.wait_until_at_rest()
        before = len(idler.statements)
        assert before > 0  # it polled
        idler.wait_until_at_rest(20)
        assert idler.statements[before:] == []
        submit(url, "first")
        wait_until(lambda: idler.trained() == 1, "the end of the first trial")
        idler.wait_until_at_rest()
        server.kill()
        server.start()
        idler.wait_until_at_rest()
        submit(url, "second")
        wait_until(lambda: idler.trained() == 2, "the end of the second trial")
        idler.wait_until_at_rest()

    ended = _in_another_thread(scenario, idler)
    idler.serve()
    ended()
    assert idler.listened_in_training == [False, False]
    listening = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
    assert rows(url, listening) == [(0,)]  # its connection is closed
