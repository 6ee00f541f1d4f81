"""How long a transaction is tried again, by a clock of the test's own."""

from __future__ import annotations

import pytest

from hpo.errors import StorageError
from hpo.storage.retry import TELL_SECONDS, RetryPolicy, Waiting


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.pauses.append(seconds)


def test_pauses_double_up_to_ten_seconds_for_ten_minutes() -> None:
    clock = Clock()
    waiting = Waiting(RetryPolicy(clock=clock, sleep=clock.sleep))
    while waiting.again():
        pass
    assert 600 <= clock.now - 1000 < 610
    for number, pause in enumerate(clock.pauses):
        longest = min(0.05 * 2**number, 10.0)
        assert longest / 2 <= pause <= longest
    assert len(set(clock.pauses)) == len(clock.pauses)


def test_whoever_must_stop_is_not_kept_waiting() -> None:
    class StopError(BaseException):
        pass

    def sleep(seconds: float) -> None:
        raise StopError

    with pytest.raises(StopError):
        Waiting(RetryPolicy(sleep=sleep)).again()


def test_only_a_long_wait_is_told_and_once() -> None:
    clock, told = Clock(), list[str]()
    patience = RetryPolicy(
        clock=clock, sleep=clock.sleep, away=lambda: told.append("away"), back=lambda: told.append("back")
    )
    failures = iter(range(20))

    def call() -> str:
        if next(failures) < fails:
            raise StorageError("away", passes=True)
        return "answer"

    fails = 3
    assert patience.waits_for(call) == "answer"
    assert (told, clock.now < 1000.0 + TELL_SECONDS) == ([], True)
    fails = 18
    assert patience.waits_for(call) == "answer"
    assert told == ["away", "back"]


def test_each_further_try_is_told() -> None:
    clock, tries = Clock(), list[float]()
    waiting = Waiting(RetryPolicy(5.0, clock, clock.sleep, again=lambda: tries.append(clock.now)))
    assert tries == []
    while waiting.again():
        pass
    assert len(tries) == len(clock.pauses) > 5
