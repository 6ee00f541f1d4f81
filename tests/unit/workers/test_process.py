"""Why a worker process died, in words."""

from __future__ import annotations

from multiprocessing import Pipe

import pytest

from hpo.limits import ControlGroups, Memory
from hpo.storage.attempts import Deaths
from hpo.trial.run import deadly
from hpo.workers import process
from hpo.workers.messages import StoppedByUser
from hpo.workers.process import KernelKills


def _counts(monkeypatch: pytest.MonkeyPatch, *counts: int | None) -> None:
    told = iter(counts)
    monkeypatch.setattr(ControlGroups, "oom_kills", lambda self: next(told))


def test_kernel_kills_are_each_reported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    _counts(monkeypatch, 3, 3, 5, 5, 5)
    kills = KernelKills()
    assert [kills.one_more() for _ in range(4)] == [False, True, True, False]


def test_kernel_kills_without_a_count_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    _counts(monkeypatch, None, None)
    assert not KernelKills().one_more()


@pytest.mark.parametrize(
    ("exit_code", "counted", "cause"),
    [
        (-9, 1, "out of memory: the kernel killed it, with 1.0 GB of memory allowed by its control group"),
        (-9, 0, "killed by signal 9, out of memory?"),
        (-11, 1, "killed by signal 11"),
        (3, 1, "exit code 3"),
    ],
)
def test_cause_of_death_names_memory_where_the_kernel_counted_a_kill(
    exit_code: int, counted: int, cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _counts(monkeypatch, 0, counted)
    monkeypatch.setattr(process, "memory", lambda: Memory(int(1e9), int(1e8), limited=True))
    assert process._cause_of_death(exit_code, KernelKills()) == cause


@pytest.mark.parametrize(
    ("cause", "check", "end"),
    [
        ("out of memory: x", "out_of_memory", "epoch 2 of this trial; the last one: x"),
        ("killed by signal 11", "worker_died", "epoch 2 of this trial; the last one: killed by signal 11"),
        ("", "worker_died", "3 workers in a row died or hung in epoch 2 of this trial"),
    ],
)
def test_deadly_trial_fails_with_the_cause_of_its_deaths(cause: str, check: str, end: str) -> None:
    failure = deadly(Deaths(3, 2, cause), "lower batch_size or width")
    found, message, remedy = failure.cause, str(failure), failure.remedy
    assert (found, message[-len(end) :]) == (check, end)
    assert "batch_size" in remedy


def test_training_killed_in_its_own_process_does_not_blame_workers() -> None:
    failure = deadly(Deaths(3, 1, "killed by signal SIGKILL", ("was killed by signal SIGKILL",)), "use less")
    assert str(failure) == (
        "the process of the training was killed by signal SIGKILL in epoch 1 of this trial, 3 times in a row"
    )
    assert (failure.cause, failure.remedy) == ("worker_died", "find what ends it; use less if memory ran out")


def test_messages_to_a_parent_that_is_gone_are_dropped() -> None:
    """Otherwise the error would be taken for one of the trial that reports an epoch."""
    theirs, ours = Pipe()
    send = process._Channel(ours)
    send(StoppedByUser())
    assert theirs.recv() == StoppedByUser()
    theirs.close()
    send(StoppedByUser())
