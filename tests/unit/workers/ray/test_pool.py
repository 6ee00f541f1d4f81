"""A pool of actors under its supervisor, with actors that answer as each test says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hpo.errors import UserError, WorkerError
from hpo.events import Event, LeaseLost, Stopping, WorkerLost, WorkersWaiting
from hpo.signals import StopFlag
from hpo.workers.messages import Failed, Message, Ready
from hpo.workers.ray import pool
from hpo.workers.ray.actor import ActorGoneError, WorkerUpdate
from hpo.workers.ray.pool import ActorPool
from hpo.workers.supervisor import Supervisor, WorkerEvents

Answer = WorkerUpdate | ActorGoneError


def _update(worker: str, *messages: Message, silent: float = 0.0, over: bool = False) -> WorkerUpdate:
    return WorkerUpdate(worker, messages, silent, over, "/out/1.log")


def _ready(worker: str) -> Ready:
    return Ready(worker, "cpu", "fp32", 1, frozenset())


RESTARTS = ActorGoneError("the actor is unavailable", for_good=False)


class _Actor:
    """Gives its answers one after the other; then does not answer."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.calls: list[str] = []
        self.pending_answer: Any = None

    def ask(self) -> None:
        self.pending_answer = self.answers.pop(0) if self.answers else None

    def answer(self) -> WorkerUpdate:
        if isinstance(self.pending_answer, ActorGoneError):
            raise self.pending_answer
        update: WorkerUpdate = self.pending_answer
        return update

    def stop(self) -> None:
        self.calls.append("stop")
        self.answers.append(_update("h:1:a", over=True))
        self.ask()

    def kill(self, restart: bool = False) -> None:
        self.calls.append("restart" if restart else "kill")


class _Cluster:
    output = ""

    def answered(self, actors: list[_Actor], seconds: float) -> list[_Actor]:
        return [each for each in actors if each.pending_answer is not None]

    def read_end(self, host: str, path: str) -> str:
        return self.output


class _Store:
    def write(self, work: Any, retry: Any = None) -> None: ...


Supervise = Callable[..., tuple[list[Event], WorkerEvents]]


@pytest.fixture
def supervise(monkeypatch: pytest.MonkeyPatch) -> Supervise:
    """Run a pool of these actors to its end; returns what it emitted."""
    monkeypatch.setattr(pool, "RESTART_POLL_SECONDS", 0.0)
    monkeypatch.setattr("hpo.workers.supervisor.release_hung", lambda store, worker: None)
    monkeypatch.setattr("hpo.workers.supervisor.release_dead_local", lambda store, study, retry: [])

    def supervise(*actors: _Actor, most_crashes: int = 9, stop: StopFlag | None = None) -> Any:
        emitted: list[Event] = []
        events = WorkerEvents(emitted.append, lambda ready: None)
        cluster: Any = _Cluster()
        store: Any = _Store()
        waiting: Any = iter(actors)
        actor_pool = ActorPool(cluster, lambda: next(waiting), len(actors))
        Supervisor(actor_pool, store, events, stop or StopFlag(), most_crashes).run()
        return emitted, events

    return supervise


def test_pool_passes_messages_on_until_all_workers_are_over(supervise: Supervise) -> None:
    first = _Actor(
        _update("h:1:a"),
        _update("h:1:a", _ready("h:1:a"), LeaseLost("h:1:a", 3)),
        _update("h:1:a", over=True),
    )
    emitted, events = supervise(first, _Actor(_update("h:2:b", over=True)))
    assert emitted == [LeaseLost("h:1:a", 3)]
    assert events.problems == []


def test_pool_removes_waiting_workers_when_nothing_is_left(supervise: Supervise) -> None:
    waits = _Actor()
    supervise(_Actor(_update("h:1:a", over=True)), waits)
    assert waits.calls == ["kill"]


def test_pool_reports_workers_that_wait_for_room(
    supervise: Supervise, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "WAITING_SECONDS", -1.0)
    works = _Actor(_update("h:1:a"), _update("h:1:a"), _update("h:1:a", over=True))
    emitted, _ = supervise(works, _Actor())
    assert emitted == [WorkersWaiting(1, 2)]


def test_pool_reports_a_crash_once_and_ray_restarts_the_worker(
    supervise: Supervise, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Cluster, "output", "\n".join("abcdefg"))
    actor = _Actor(
        _update("h:1:a"), RESTARTS, RESTARTS, RESTARTS, _update("h:2:b"), _update("h:2:b", over=True)
    )
    emitted, events = supervise(actor)
    message = "worker-1 died (h:1:a); Ray restarts it\nc\nd\ne\nf\ng\nfull output: h:/out/1.log"
    assert emitted == [WorkerLost("h:1:a", message)]
    assert events.problems == [message]


def test_pool_reports_a_crash_between_two_polls(supervise: Supervise) -> None:
    emitted, _ = supervise(_Actor(_update("h:1:a"), _update("h:2:b"), _update("h:2:b", over=True)))
    assert [event.worker for event in emitted if isinstance(event, WorkerLost)] == ["h:1:a"]


def test_supervisor_does_not_restart_after_too_many_crashes(supervise: Supervise) -> None:
    actor = _Actor(*[answer for n in range(9) for answer in (_update(f"h:{n}:a"), RESTARTS)])
    emitted, _ = supervise(actor, most_crashes=2)
    assert len(emitted) == 3 and actor.calls == ["kill"]


def test_worker_that_cannot_serve_is_lost_while_another_serves(supervise: Supervise) -> None:
    no_data = _Actor(_update("h:1:a"), _update("h:1:a", Failed("no images", 2)), _update("h:1:a", over=True))
    healthy = _Actor(
        _update("g:1:b"), _update("g:1:b", _ready("g:1:b")), *[_update("g:1:b")] * 3,
        _update("g:1:b", over=True),
    )  # fmt: skip
    emitted, _ = supervise(no_data, healthy)
    assert emitted == [WorkerLost("h:1:a", "worker-1 left: no images")]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (_update("h:1:a", Failed("no images", 2), over=True), r"^no images$"),
        (
            ActorGoneError("No module named 'hpo'", for_good=True),
            "worker-1 cannot be started: No module named",
        ),
    ],
)
def test_run_fails_with_the_reason_if_no_worker_can_serve(
    supervise: Supervise, answer: Answer, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        supervise(_Actor(answer))


def test_failure_of_a_worker_stops_all(supervise: Supervise) -> None:
    other = _Actor(_update("h:1:a"), _update("h:1:a"))
    with pytest.raises(WorkerError, match="10 trials failed"):
        supervise(_Actor(_update("g:1:b", Failed("10 trials failed", 1), over=True)), other)
    assert other.calls[0] == "stop"


def test_signal_stops_working_actors_and_removes_waiting_ones(supervise: Supervise) -> None:
    stop = StopFlag()

    class Signalled(_Actor):
        def ask(self) -> None:
            super().ask()
            if len(self.answers) == 1:
                stop.signum = 2

    works, waits = Signalled(_update("h:1:a"), _update("h:1:a"), _update("h:1:a")), _Actor()
    emitted, _ = supervise(works, waits, stop=stop)
    assert emitted == [Stopping(2)]
    assert (works.calls[0], waits.calls) == ("stop", ["kill"])


def test_worker_that_dies_after_a_signal_is_not_restarted(supervise: Supervise) -> None:
    stop = StopFlag()

    class Dies(_Actor):
        def stop(self) -> None:
            self.calls.append("stop")
            self.answers = [RESTARTS, _update("h:2:b"), _update("h:2:b")]

        def ask(self) -> None:
            super().ask()
            stop.signum = 15

    actor = Dies(_update("h:1:a"), _update("h:1:a"))
    emitted, _ = supervise(actor, stop=stop)
    assert emitted == [Stopping(15)]
    assert actor.calls == ["stop", "kill"]
    assert len(actor.answers) == 2


def test_hung_worker_is_killed_and_restarted(supervise: Supervise) -> None:
    actor = _Actor(_update("h:1:a", silent=700.0), RESTARTS, _update("h:2:b", over=True))
    emitted, _ = supervise(actor)
    assert actor.calls[0] == "restart"
    assert isinstance(emitted[0], WorkerLost) and "worker-1 hung: no progress for 600 s" in emitted[0].message
