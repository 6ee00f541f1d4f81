"""The background writer writes in order, whatever the database does meanwhile."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from threading import Event
from typing import Any, cast

import pytest

from hpo.config.objective import Objective
from hpo.errors import LeaseLostError, StorageError
from hpo.records import EpochResult, Finding, LayerStatistics
from hpo.trial.writer import BackgroundWriter


class Store:
    """Takes writes while its door is open, and raises what it is told to."""

    def __init__(self) -> None:
        self.door = Event()
        self.door.set()
        self.at_the_door = Event()
        self.written: list[Any] = []
        self.raises: list[BaseException] = []

    def _take(self, what: Any) -> None:
        self.at_the_door.set()
        self.door.wait()
        if self.raises:
            raise self.raises.pop(0)
        self.written.append(what)

    def record_epoch(
        self, hold: Any, trial_id: int, record: EpochResult, objective: Objective, classes: Any
    ) -> None:
        self._take(record.epoch)

    def record_findings(self, hold: Any, trial_id: int, records: list[Finding]) -> None:
        self._take([record.check for record in records])

    def record_layers(self, hold: Any, trial_id: int, records: list[LayerStatistics]) -> None:
        self._take([record.name for record in records])


def point(epoch: int) -> EpochResult:
    return EpochResult(epoch, 1.0, 0.5, 1.0, 0.5, 0.1, 1.0, 100, 100.0)


def finding(check: str) -> Finding:
    return Finding(check, "note", math.nan, math.nan, "m", step=1, epoch=1)


LAYER = LayerStatistics("conv", step=1, epoch=1, position=0)


@pytest.fixture
def store() -> Iterator[Store]:
    made = Store()
    yield made
    made.door.set()


@pytest.fixture
def writer(store: Store) -> Iterator[BackgroundWriter]:
    made = BackgroundWriter(cast(Any, store), cast(Any, None), 1)
    yield made
    store.door.set()
    made.close()


def _wait(writer: BackgroundWriter) -> None:
    writer.flush(lambda: None)


def test_writes_are_made_in_order_and_unsent_is_what_is_not_confirmed(
    store: Store, writer: BackgroundWriter
) -> None:
    store.door.clear()
    writer.epoch(point(1))
    writer.findings([finding("a"), finding("b")])
    writer.layers([LAYER])
    writer.findings([])
    assert writer.pending() == [finding("a"), finding("b"), LAYER]
    assert store.written == []
    store.door.set()
    _wait(writer)
    assert store.written == [1, ["a", "b"], ["conv"]]
    assert writer.pending() == []


def test_what_an_earlier_worker_left_unsent_is_stored_first(store: Store, writer: BackgroundWriter) -> None:
    writer.requeue([finding("a"), LAYER, finding("b")])
    writer.epoch(point(1))
    _wait(writer)
    assert store.written == [["a", "b"], ["conv"], 1]


@pytest.mark.parametrize("failure", [LeaseLostError("gone"), StorageError("away")])
def test_after_a_lost_lease_or_database_nothing_is_written(
    store: Store, writer: BackgroundWriter, failure: Exception
) -> None:
    store.door.clear()
    store.raises.append(failure)
    writer.findings([finding("a")])
    writer.epoch(point(1))
    store.door.set()
    for attempt in (lambda: _wait(writer), writer.check, lambda: writer.epoch(point(2))):
        with pytest.raises(type(failure)):
            attempt()
    assert store.written == []
    assert writer.pending() == [finding("a")]


def test_bug_in_a_write_is_reported_once_and_the_failure_recorded(
    store: Store, writer: BackgroundWriter
) -> None:
    store.raises.append(ValueError("bug"))
    writer.findings([finding("a")])
    with pytest.raises(ValueError, match="bug"):
        _wait(writer)
    writer.findings([finding("error")])
    _wait(writer)
    assert store.written == [["error"]]


class StopError(BaseException):
    pass


def test_a_wish_to_stop_ends_the_writing_and_not_the_training(store: Store, writer: BackgroundWriter) -> None:
    """`check` is asked between steps: the checkpoint comes first there. `flush` has nothing to save."""
    store.raises.append(StopError())
    writer.findings([finding("a")])
    with pytest.raises(StopError):
        _wait(writer)
    writer.check()
    assert writer.pending() == [finding("a")]


def test_waiting_for_the_database_can_be_stopped(store: Store, writer: BackgroundWriter) -> None:
    store.door.clear()
    writer.findings([finding("a")])

    def stop() -> None:
        raise StopError

    with pytest.raises(StopError):
        writer.flush(stop)
    assert writer.pending() == [finding("a")]


def test_what_is_under_way_when_it_closes_is_the_last(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpo.trial.writer.CLOSING_SECONDS", 0.01)
    writer = BackgroundWriter(cast(Any, store), cast(Any, None), 1)
    store.door.clear()
    writer.findings([finding("a")])
    writer.findings([finding("b")])
    store.at_the_door.wait()
    writer.close()
    store.door.set()
    for thread in threading.enumerate():
        if thread.name == "writer":
            thread.join()
    assert store.written == [["a"]]
