"""A worker as an actor, without Ray: what it answers, and that it leaves when nobody asks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hpo.errors import UserError
from hpo.events import LeaseLost
from hpo.signals import StopRequestedError
from hpo.storage.identity import worker_id
from hpo.workers import loop
from hpo.workers.messages import Failed, Ready, WorkOrder
from hpo.workers.ray import actor
from hpo.workers.ray.actor import News, RayWorker

READY = Ready("h:1:a", "cpu", "fp32", 1, frozenset())
ORDER = WorkOrder("sqlite:///none.db", ("s",), "cpu", 1)
Serve = Callable[..., None]


@pytest.fixture
def hire(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., tuple[RayWorker, threading.Event]]:
    def hire(serve: Serve, **environment: str) -> tuple[RayWorker, threading.Event]:
        (tmp_path / "out").mkdir()
        monkeypatch.setattr(actor, "_print_to_file", lambda: tmp_path / "out" / "1.log")
        monkeypatch.setattr(actor, "ANSWER_SECONDS", 0.05)
        monkeypatch.setattr(actor, "publish_to", lambda clock: None)
        monkeypatch.setattr(loop, "serve", serve)
        monkeypatch.chdir(tmp_path)
        left = threading.Event()
        return RayWorker(ORDER, environment, str(tmp_path), left.set), left

    return hire


def _until_over(worker: RayWorker) -> list[News]:
    heard = [worker.go_on()]
    while not heard[-1].over:
        heard.append(worker.go_on())
    return heard


def test_it_serves_from_the_first_question_on_and_tells_all_in_order(hire: Any) -> None:
    def serve(order: WorkOrder, emit: Any, check: Any, on_ready: Any) -> None:
        assert order is ORDER
        on_ready(READY)
        for slot in range(3):
            emit(LeaseLost("h:1:a", slot))

    worker, _ = hire(serve)
    heard = _until_over(worker)
    assert (heard[0].worker, heard[0].messages, heard[0].over) == (worker_id(), (), False)
    told = [message for news in heard for message in news.messages]
    assert told == [READY, *(LeaseLost("h:1:a", slot) for slot in range(3))]
    assert not Path(heard[0].output).parent.exists()


def test_it_stops_when_it_is_told_to_and_says_why_it_cannot_serve(hire: Any) -> None:
    begun = threading.Event()

    def serve(order: WorkOrder, emit: Any, check: Any, on_ready: Any) -> None:
        begun.set()
        try:
            while True:
                check()
                time.sleep(0.001)
        except StopRequestedError:
            raise UserError("there are no images here") from None

    worker, _ = hire(serve)
    worker.go_on()
    assert begun.wait(5)
    worker.stop()
    told = [message for news in _until_over(worker) for message in news.messages]
    assert told == [Failed("there are no images here", 2)]


def test_it_gives_its_trial_back_and_leaves_when_nobody_asks(
    hire: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actor, "UNASKED_SECONDS", 0.2)
    given_back = threading.Event()

    def serve(order: WorkOrder, emit: Any, check: Any, on_ready: Any) -> None:
        try:
            while True:
                check()
                time.sleep(0.001)
        finally:
            given_back.set()

    worker, left = hire(serve)
    for _ in range(10):  # twice as long as it waits for a question
        worker.go_on()
    assert not (given_back.is_set() or left.is_set())
    assert left.wait(5) and given_back.is_set()


def test_variables_of_the_run_are_set_where_the_node_has_none(
    hire: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HPO_LEASE_SECONDS", "7")
    monkeypatch.setenv("HPO_HUNG_SECONDS", "")
    monkeypatch.delenv("HPO_HUNG_SECONDS")
    hire(lambda *_, **__: None, HPO_LEASE_SECONDS="8", HPO_HUNG_SECONDS="9")
    from hpo.settings import settings

    assert (settings().lease_seconds, settings().hung_seconds) == (7.0, 9.0)
