"""Fault injection: points that do nothing unless they are named."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from hpo.testing import faults


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    faults.arm(None)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    signals: list[Any] = []
    monkeypatch.setattr(signal, "raise_signal", signals.append)
    return signals


def test_the_named_point_kills_at_its_count_and_no_other(sent: list[Any]) -> None:
    faults.arm("trial.epoch:2")
    for name in ("trial.epoch", "trial.begin", "trial.begin"):
        faults.fault_point(name)
    assert sent == []
    faults.fault_point("trial.epoch")
    faults.fault_point("trial.epoch")
    assert sent == [signal.SIGKILL]


def test_another_signal_can_be_named(sent: list[Any]) -> None:
    faults.arm("worker.claim:1:STOP")
    faults.fault_point("worker.claim")
    assert sent == [signal.SIGSTOP]


def test_without_a_name_nothing_happens(sent: list[Any]) -> None:
    for point in faults.POINTS:
        faults.fault_point(point)
    assert sent == []


def test_a_point_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown point 'trial.middle'; known: worker.claim, "):
        faults.arm("trial.middle:1")
