"""A worker as an actor, without Ray: what it answers, and that it ends when it is not polled."""

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
from hpo.workers.ray.actor import RayWorker, WorkerUpdate

READY = Ready("h:1:a", "cpu", "fp32", 1, frozenset())
ORDER = WorkOrder("sqlite:///none.db", ("s",), "cpu", 1)
Serve = Callable[..., None]


@pytest.fixture
def start_worker(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., tuple[RayWorker, threading.Event]]:
    def start(serve: Serve, **environment: str) -> tuple[RayWorker, threading.Event]:
        (tmp_path / "out").mkdir()
        monkeypatch.setattr(actor, "_print_to_file", lambda: tmp_path / "out" / "1.log")
        monkeypatch.setattr(actor, "ANSWER_SECONDS", 0.05)
        monkeypatch.setattr(actor, "publish_to", lambda clock: None)
        monkeypatch.setattr(loop, "serve", serve)
        monkeypatch.chdir(tmp_path)
        ended = threading.Event()
        return RayWorker(ORDER, environment, str(tmp_path), ended.set), ended

    return start


def _poll_until_over(worker: RayWorker) -> list[WorkerUpdate]:
    """Poll until it is over, at most 30 s (it waits in each poll)."""
    updates = [worker.poll()]
    deadline = time.monotonic() + 30
    while not updates[-1].over:
        assert time.monotonic() < deadline, "the worker is not over"
        updates.append(worker.poll())
    return updates


def test_actor_serves_from_the_first_poll_and_sends_messages_in_order(start_worker: Any) -> None:
    def serve(order: WorkOrder, emit: Any, check: Any, on_ready: Any) -> None:
        assert order is ORDER
        on_ready(READY)
        for slot in range(3):
            emit(LeaseLost("h:1:a", slot))

    worker, _ = start_worker(serve)
    updates = _poll_until_over(worker)
    assert (updates[0].worker, updates[0].messages, updates[0].over) == (worker_id(), (), False)
    messages = [message for update in updates for message in update.messages]
    assert messages == [READY, *(LeaseLost("h:1:a", slot) for slot in range(3))]
    assert not Path(updates[0].output).parent.exists()


def test_actor_stops_on_request_and_reports_why_it_failed(start_worker: Any) -> None:
    begun = threading.Event()

    def serve(order: WorkOrder, emit: Any, check: Any, on_ready: Any) -> None:
        begun.set()
        try:
            while True:
                check()
                time.sleep(0.001)
        except StopRequestedError:
            raise UserError("there are no images here") from None

    worker, _ = start_worker(serve)
    worker.poll()
    assert begun.wait(5)
    worker.stop()
    messages = [message for update in _poll_until_over(worker) for message in update.messages]
    assert messages == [Failed("there are no images here", 2)]


def test_actor_releases_its_trial_and_ends_when_not_polled(
    start_worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actor, "UNPOLLED_SECONDS", 0.2)
    released = threading.Event()

    def serve(order: WorkOrder, emit: Any, check: Any, on_ready: Any) -> None:
        try:
            while True:
                check()
                time.sleep(0.001)
        finally:
            released.set()

    worker, ended = start_worker(serve)
    for _ in range(10):  # twice as long as it may go unpolled
        worker.poll()
    assert not (released.is_set() or ended.is_set())
    assert ended.wait(5) and released.is_set()


def test_actor_sets_variables_of_the_run_that_the_node_does_not_set(
    start_worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HPO_LEASE_SECONDS", "7")
    monkeypatch.setenv("HPO_HUNG_SECONDS", "")
    monkeypatch.delenv("HPO_HUNG_SECONDS")
    start_worker(lambda *_, **__: None, HPO_LEASE_SECONDS="8", HPO_HUNG_SECONDS="9")
    from hpo.settings import settings

    assert (settings().lease_seconds, settings().hung_seconds) == (7.0, 9.0)
