"""Beats of the working thread reach its listener, and their time the parent process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from hpo import heartbeat


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    clock = SimpleNamespace(value=-1.0)
    monkeypatch.setattr(heartbeat, "_clock", clock)
    yield clock


def test_beat_without_listener_does_not_raise() -> None:
    heartbeat.beat()


def test_beat_calls_the_listener_and_publishes_its_time(clock: SimpleNamespace) -> None:
    calls: list[int] = []
    with heartbeat.on_beat(lambda: calls.append(1)):
        began = clock.value
        assert began == pytest.approx(time.monotonic(), abs=5)
        clock.value = -1.0
        heartbeat.beat()
        heartbeat.beat()
        assert clock.value >= began
    assert calls == [1, 1]
    assert clock.value == 0.0
    heartbeat.beat()
    assert calls == [1, 1] and clock.value == 0.0


def test_beat_of_a_background_thread_is_ignored(clock: SimpleNamespace) -> None:
    calls: list[int] = []
    with heartbeat.on_beat(lambda: calls.append(1)):
        clock.value = -1.0
        other = threading.Thread(target=heartbeat.beat)
        other.start()
        other.join()
        assert calls == [] and clock.value == -1.0


def test_beat_raises_what_the_listener_raises() -> None:
    def stop() -> None:
        raise KeyError("stop")

    with pytest.raises(KeyError), heartbeat.on_beat(stop):
        heartbeat.beat()


def test_on_beat_within_another_restores_the_outer_listener(clock: SimpleNamespace) -> None:
    calls: list[str] = []
    with heartbeat.on_beat(lambda: calls.append("outer")):
        with heartbeat.on_beat(lambda: calls.append("inner")):
            heartbeat.beat()
        assert clock.value > 0  # a beat is still expected
        heartbeat.beat()
    assert calls == ["inner", "outer"]
