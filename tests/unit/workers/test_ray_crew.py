"""Who watches over actors, with actors that answer as a test says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hpo.errors import UserError, WorkerError
from hpo.events import Event, LeaseLost, Stopping, WorkerLost
from hpo.signals import StopFlag
from hpo.workers.messages import Failed, Message, Ready
from hpo.workers.ray.actor import ActorGoneError, News
from hpo.workers.ray.supervisor import RaySupervisor

Answer = News | ActorGoneError


def _news(worker: str, *messages: Message, silent: float = 0.0, over: bool = False) -> News:
    return News(worker, messages, silent, over, "/out/1.log")


def _ready(worker: str) -> Ready:
    return Ready(worker, "cpu", "fp32", 1, frozenset())


RESTARTS = ActorGoneError("the actor is unavailable", for_good=False)


class _Actor:
    """Answers one after the other; then nothing more."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.done: list[str] = []
        self.answer_to_come: Any = None

    def ask(self) -> None:
        self.answer_to_come = self.answers.pop(0) if self.answers else None

    def answer(self) -> News:
        if isinstance(self.answer_to_come, ActorGoneError):
            raise self.answer_to_come
        news: News = self.answer_to_come
        return news

    def stop(self) -> None:
        self.done.append("stop")
        self.answers.append(_news("h:1:a", over=True))
        self.ask()

    def kill(self, start_again: bool = False) -> None:
        self.done.append("restart" if start_again else "kill")


class _Cluster:
    printed = ""

    def answered(self, actors: list[_Actor], seconds: float) -> list[_Actor]:
        return [each for each in actors if each.answer_to_come is not None]

    def read_end(self, host: str, path: str) -> str:
        return self.printed


class _Store:
    def write(self, work: Any, patience: Any = None) -> None: ...


Watch = Callable[..., tuple[list[Event], RaySupervisor]]


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    monkeypatch.setattr("hpo.workers.ray.supervisor.ASK_AGAIN_SECONDS", 0.0)
    monkeypatch.setattr("hpo.workers.ray.supervisor.release_hung", lambda store, worker: None)
    monkeypatch.setattr("hpo.workers.ray.supervisor.release_dead_local", lambda store, study, patience: [])

    def watch(*actors: _Actor, most_deaths: int = 9, stop: StopFlag | None = None) -> Any:
        told: list[Event] = []
        waiting = iter(actors)
        crew: Any = RaySupervisor(
            _Cluster(),
            lambda: next(waiting),
            len(actors),
            _Store(),
            told.append,
            most_deaths,  # type: ignore
        )
        crew.work(stop or StopFlag(), lambda ready: None)
        return told, crew

    return watch


def test_what_actors_say_is_passed_on_until_all_are_over(watch: Watch) -> None:
    first = _Actor(
        _news("h:1:a"), _news("h:1:a", _ready("h:1:a"), LeaseLost("h:1:a", 3)), _news("h:1:a", over=True)
    )
    second = _Actor(_news("h:2:b", over=True))
    told, crew = watch(first, second)
    assert told == [LeaseLost("h:1:a", 3)]
    assert crew.heard.problems == []


def test_one_that_waits_for_room_is_dismissed_when_all_is_served(watch: Watch) -> None:
    waits = _Actor()
    watch(_Actor(_news("h:1:a", over=True)), waits)
    assert waits.done == ["kill"]


def test_a_death_is_told_once_and_ray_starts_it_again(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Cluster, "printed", "\n".join("abcdefg"))
    actor = _Actor(_news("h:1:a"), RESTARTS, RESTARTS, RESTARTS, _news("h:2:b"), _news("h:2:b", over=True))
    told, crew = watch(actor)
    message = "worker-1 died (h:1:a); Ray starts it again\nc\nd\ne\nf\ng\nall that it printed: h:/out/1.log"
    assert told == [WorkerLost("h:1:a", message)]
    assert crew.heard.problems == [message]


def test_a_death_between_two_questions_is_told_too(watch: Watch) -> None:
    told, _ = watch(_Actor(_news("h:1:a"), _news("h:2:b"), _news("h:2:b", over=True)))
    assert [event.worker for event in told if isinstance(event, WorkerLost)] == ["h:1:a"]


def test_when_too_many_died_none_is_started_again(watch: Watch) -> None:
    actor = _Actor(*[answer for n in range(9) for answer in (_news(f"h:{n}:a"), RESTARTS)])
    told, _ = watch(actor, most_deaths=2)
    assert len(told) == 3 and actor.done == ["kill"]


def test_one_that_cannot_serve_leaves_while_another_goes_on(watch: Watch) -> None:
    no_data = _Actor(_news("h:1:a"), _news("h:1:a", Failed("no images", 2)), _news("h:1:a", over=True))
    well = _Actor(
        _news("g:1:b"), _news("g:1:b", _ready("g:1:b")), *[_news("g:1:b")] * 3, _news("g:1:b", over=True)
    )
    told, _ = watch(no_data, well)
    assert told == [WorkerLost("h:1:a", "worker-1 left: no images")]
    with pytest.raises(UserError, match=r"^no images$"):
        watch(_Actor(_news("h:1:a", Failed("no images", 2), over=True)))
    with pytest.raises(UserError, match="worker-1 cannot be started: No module named 'hpo'"):
        watch(_Actor(ActorGoneError("No module named 'hpo'", for_good=True)))


def test_a_failure_stops_all(watch: Watch) -> None:
    other = _Actor(_news("h:1:a"), _news("h:1:a"))
    with pytest.raises(WorkerError, match="10 trials failed"):
        watch(_Actor(_news("g:1:b", Failed("10 trials failed", 1), over=True)), other)
    assert other.done[0] == "stop"


def test_after_a_signal_those_that_work_stop_and_those_that_wait_are_dismissed(watch: Watch) -> None:
    stop = StopFlag()

    class Signalled(_Actor):
        def ask(self) -> None:
            super().ask()
            if len(self.answers) == 1:
                stop.signum = 2

    works, waits = Signalled(_news("h:1:a"), _news("h:1:a"), _news("h:1:a")), _Actor()
    told, _ = watch(works, waits, stop=stop)
    assert told == [Stopping(2)]
    assert (works.done[0], waits.done) == ("stop", ["kill"])


def test_one_that_dies_after_a_signal_does_not_begin_anew(watch: Watch) -> None:
    stop = StopFlag()

    class Dies(_Actor):
        def stop(self) -> None:
            self.done.append("stop")
            self.answers = [RESTARTS, _news("h:2:b"), _news("h:2:b")]

        def ask(self) -> None:
            super().ask()
            stop.signum = 15

    actor = Dies(_news("h:1:a"), _news("h:1:a"))
    told, _ = watch(actor, stop=stop)
    assert told == [Stopping(15)]
    assert actor.done == ["stop", "kill"]
    assert len(actor.answers) == 2


def test_one_that_hangs_is_killed_and_started_again(watch: Watch) -> None:
    actor = _Actor(_news("h:1:a", silent=700.0), RESTARTS, _news("h:2:b", over=True))
    told, _ = watch(actor)
    assert actor.done[0] == "restart"
    assert isinstance(told[0], WorkerLost) and "worker-1 hung: no progress for 600 s" in told[0].message
