"""Signs of progress reach the one who listens, from the thread that works, while it works."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from hpo import heartbeat


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    clock = SimpleNamespace(value=-1.0)
    monkeypatch.setattr(heartbeat, "_shown", clock)
    yield clock


def test_nobody_needs_to_listen() -> None:
    heartbeat.beat()


def test_each_sign_is_heard_and_its_time_shown(shown: SimpleNamespace) -> None:
    heard: list[int] = []
    with heartbeat.on_beat(lambda: heard.append(1)):
        began = shown.value
        assert began == pytest.approx(time.monotonic(), abs=5)
        shown.value = -1.0
        heartbeat.beat()
        heartbeat.beat()
        assert shown.value >= began
    assert heard == [1, 1]
    assert shown.value == 0.0
    heartbeat.beat()
    assert heard == [1, 1] and shown.value == 0.0


def test_a_thread_in_the_background_says_nothing_of_the_training(shown: SimpleNamespace) -> None:
    heard: list[int] = []
    with heartbeat.on_beat(lambda: heard.append(1)):
        shown.value = -1.0
        other = threading.Thread(target=heartbeat.beat)
        other.start()
        other.join()
        assert heard == [] and shown.value == -1.0


def test_what_the_listener_raises_ends_the_work() -> None:
    def stop() -> None:
        raise KeyError("stop")

    with pytest.raises(KeyError), heartbeat.on_beat(stop):
        heartbeat.beat()
