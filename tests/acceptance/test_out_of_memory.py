"""A worker that the kernel kills at the memory limit of its control group."""

from __future__ import annotations

import subprocess

import pytest

from tests.helpers.control_groups import real_group
from tests.helpers.hpo_command import COMMAND, Hpo

GREEDY = """
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(3 * 32 * 32, 10)

    def forward(self, images):
        if self.training and len(images) > 8:  # not when it is tried in small before
            bytearray(4 * 2**30)
        return self.dense(images.flatten(1))


def build(options, *, in_shape, classes):
    return Net()
"""


@pytest.mark.slow  # two workers in interpreters of their own, which a group can hold
@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_trial_killed_at_the_memory_limit_is_out_of_memory(hpo: Hpo) -> None:
    (hpo.folder / "greedy.py").write_text(GREEDY)
    study = hpo.write_study(trials=1, epochs=1)
    changes = ("--set", "model=greedy:build", "--set", "precision=fp32", "--set", "max_deaths=1")
    limit = 1_500 * 2**20
    with real_group("memory", memory_max=limit, memory_limit_in_bytes=limit) as enter:
        run = subprocess.run(
            [*COMMAND, "run", study, *changes, "--workers", "1"],
            cwd=hpo.folder,
            env=hpo.environment,
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=enter,
        )
    killed = "the kernel killed it, with 1.6 GB of memory allowed by its control group"
    assert f"worker-1 died (out of memory: {killed})" in run.stdout, run.stdout + run.stderr
    (trial,) = hpo.rows("SELECT state, cause, verdict FROM results")
    assert (trial["state"], trial["cause"]) == ("failed", "out_of_memory")
    given_up = "1 worker died or hung in epoch 1 of this trial"
    assert trial["verdict"] == f"out of memory: {given_up}; the last one: {killed}"
    assert f"hpo: the worker died: out of memory: {killed}" in hpo("logs", "tiny", "0").stdout
