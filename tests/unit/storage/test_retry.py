"""How long a call is retried, by a virtual clock."""

from __future__ import annotations

import pytest

from hpo.errors import StorageError
from hpo.storage.retry import OUTAGE_SECONDS, RetryPolicy


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.pauses.append(seconds)


def _unreachable() -> None:
    raise StorageError("unreachable", passes=True)


def test_retry_pauses_double_up_to_ten_seconds_for_ten_minutes() -> None:
    clock = Clock()
    with pytest.raises(StorageError, match="unreachable"):
        RetryPolicy(clock=clock, sleep=clock.sleep).call(_unreachable)
    assert 600 <= clock.now - 1000 < 610
    assert len(clock.pauses) > 60
    for number, pause in enumerate(clock.pauses):
        longest = min(0.05 * 2**number, 10.0)
        assert longest / 2 <= pause <= longest
    assert len(set(clock.pauses)) == len(clock.pauses)


def test_retry_ends_when_sleep_raises() -> None:
    class StopError(BaseException):
        pass

    def sleep(seconds: float) -> None:
        raise StopError

    with pytest.raises(StopError):
        RetryPolicy(sleep=sleep).call(_unreachable)


def test_retry_reports_only_a_long_outage_and_once() -> None:
    clock, events = Clock(), list[str]()
    retry = RetryPolicy(
        clock=clock,
        sleep=clock.sleep,
        on_outage=lambda: events.append("outage"),
        on_recovery=lambda: events.append("recovery"),
    )
    failures = iter(range(20))

    def call() -> str:
        if next(failures) < fails:
            raise StorageError("unreachable", passes=True)
        return "answer"

    fails = 3
    assert retry.call(call) == "answer"
    assert (events, clock.now < 1000.0 + OUTAGE_SECONDS) == ([], True)
    fails = 18
    assert retry.call(call) == "answer"
    assert events == ["outage", "recovery"]


def test_retry_reports_each_further_attempt() -> None:
    clock, retries = Clock(), list[float]()
    retry = RetryPolicy(5.0, clock, clock.sleep, on_retry=lambda: retries.append(clock.now))
    with pytest.raises(StorageError):
        retry.call(_unreachable)
    assert len(retries) == len(clock.pauses) > 5


def test_retry_does_not_repeat_an_error_that_stays() -> None:
    clock, calls = Clock(), list[float]()

    def call() -> None:
        calls.append(clock.now)
        raise StorageError("no such table")

    with pytest.raises(StorageError, match="no such table"):
        RetryPolicy(clock=clock, sleep=clock.sleep).call(call)
    assert (len(calls), clock.pauses) == (1, [])
