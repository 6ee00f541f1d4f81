"""Trials that hang for good, and workers whose whole process is frozen: `hpo run` replaces them."""

from __future__ import annotations

import signal

import psutil
import pytest

from tests.helpers.hpo_command import Hpo

NET = """\
import threading
from pathlib import Path

from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(3 * 32 * 32, 10)
        self.steps = 0

    def forward(self, images):
        self.steps += self.training and len(images) == 50
        marker = Path("{marker}")
        if self.steps == 30 and not marker.exists():
            marker.touch()
            threading.Event().wait()  # as a read from a file server that is gone
        return self.dense(images.flatten(1))


def build(options, *, in_shape, classes):
    return Net()
"""


def _impatient(hpo: Hpo) -> None:
    hpo.environment |= {"HPO_LEASE_SECONDS": "5", "HPO_HUNG_SECONDS": "15", "PYTHONPATH": str(hpo.folder)}
    (hpo.folder / "nets.py").write_text(NET.replace("{marker}", str(hpo.folder / "hung-once")))


def _attempts(hpo: Hpo) -> list[str]:
    return [row["outcome"] for row in hpo.rows("SELECT outcome FROM attempts ORDER BY number, attempt")]


@pytest.mark.slow
def test_a_trial_that_hangs_loses_its_slot_and_its_worker_is_replaced(hpo: Hpo) -> None:
    _impatient(hpo)
    study = hpo.write_study(trials=1, epochs=3)
    with_net = ("--set", "model=nets:build", "--set", "lr=0.001", "--set", "checks=off", "--workers", "1")
    running = hpo.start("run", study, "--json", *with_net)
    running.wait_for("epoch_done")
    lost = running.wait_for("worker_lost")
    assert lost["message"].splitlines()[0] == "worker-1 hung: no progress for 15 s; it was killed"
    code, errors = running.end()
    assert code == 0, errors
    assert _attempts(hpo) == ["hung", "complete"]
    assert [row["epoch"] for row in hpo.rows("SELECT epoch FROM curves ORDER BY epoch")] == [1, 2, 3]
    assert "hung" in hpo("show", "tiny", "0").stdout
    assert "1 complete, 1 hung" in hpo("status", "tiny").stdout


@pytest.mark.slow
def test_a_worker_that_is_frozen_loses_its_slot_and_is_replaced(hpo: Hpo) -> None:
    _impatient(hpo)
    running = hpo.start("run", hpo.write_study(trials=2, epochs=8), "--json", "--workers", "2")
    pid = int(running.wait_for("epoch_done")["worker"].split(":")[1])
    psutil.Process(pid).send_signal(signal.SIGSTOP)
    running.wait_for("worker_lost")
    code, errors = running.end()
    assert code == 0, errors
    assert not psutil.pid_exists(pid)
    rows = hpo.rows("SELECT number, count(*) AS n, max(epoch) AS last FROM curves GROUP BY number")
    ended = hpo.rows("SELECT number, state FROM results ORDER BY number")
    assert [row["number"] for row in ended] == [0, 1]
    assert all(row["n"] == row["last"] for row in rows)
    # Lost if the other worker took it over first, hung if the run gave it back.
    assert {"lost", "hung"} & set(_attempts(hpo))


@pytest.mark.slow
def test_a_worker_that_hangs_ends_after_its_parent(hpo: Hpo) -> None:
    _impatient(hpo)
    hpo.environment |= {"HPO_HUNG_SECONDS": "600"}
    with_net = ("--set", "model=nets:build", "--set", "lr=0.001", "--set", "checks=off", "--workers", "1")
    running = hpo.start("run", hpo.write_study(trials=1, epochs=3), "--json", *with_net)
    running.wait_for("epoch_done")
    *workers, parent = running.family()
    parent.send_signal(signal.SIGKILL)
    assert workers
    for worker in workers:
        worker.wait(timeout=90)
    running.process.communicate()
