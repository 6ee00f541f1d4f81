"""Trainings that break their process: each costs its own trial, and the next one finds all as it was."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from hpo.trainer.process import end_trainer_process
from tests.conftest import NewDatabase
from tests.helpers.breaking import BREAKING
from tests.helpers.own_training import rows, run, spec, write_trainer

VERDICTS = """
    SELECT json_extract(t.configuration, '$.does'), r.state, r.value, r.verdict FROM results AS r
    JOIN hpo_trial AS t ON t.trial_id = r.trial_id WHERE r.study = 's' ORDER BY r.slot
"""
LASTING = {
    "surroundings": "",
    "closed_output": "",
    "forked": "",
    "handlers": "",
    "flood": "",
    "system_exit": "SystemExit: as scripts do",
    "interrupt": "KeyboardInterrupt",
    "silent": "returned no value and reported no finite val_accuracy",
    "not_a_number": "reported no finite val_accuracy",
    "infinite": "",
    "worded": "val_accuracy is not a number but 'high'",
    "several": "val_accuracy is not a number but array",
    "enormous": "int too large",
    "backwards": "epoch 1 cannot follow epoch 1",
    "odd_names": r"'lone \udcff' is not a valid name",
    "many_names": "too many metrics in an epoch: 100,001, at most 1,000",
    "long_name": "is not a valid name of a metric",
    "odd_error": r"ValueError: lone \udcff and nul \x00",
    "unprintable": "Unprintable: (it has no text: its __str__ fails)",
}
"""By training that leaves its process usable, why it fails; nothing for one that does not."""
REPLACED = {
    "segfault": "SIGSEGV",
    "no_output": "",
    "limits": "",
    "daemons_and_death": "exit code 9",
    "orphan": "",
}
"""The same by training that does not."""
MORE_REPLACED = {
    "exit_at_once": "exit code 7",
    "generator_exit": "GeneratorExit",
    "threads": "",
    "alarm": "SIGALRM",
    "priority": "",
    "files": "",
    "other_output": "",
    "no_connection": "closed its connection to hpo",
    "stopping_itself": "killed by signal SIGKILL in epoch 1 of this trial, 3 times in a row",
    "asking_itself": "asked by SIGTERM to leave the trial in epoch 1 of this trial, 3 times in a row",
    "long_error": "y [...] y",
    "daemons": "",
}


@pytest.fixture(autouse=True)
def _breaking_trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    write_trainer(tmp_path, BREAKING)
    monkeypatch.chdir(tmp_path)
    before = os.umask(0o022)
    yield
    os.umask(before)
    end_trainer_process()


def surroundings(folder: Path) -> dict[str, Any]:
    """Return what the trainings compare theirs with."""
    return {
        "folder": str(folder),
        "null": os.path.realpath("/proc/self/fd/1") == os.devnull,
        "nice": os.nice(0),
        "cores": len(os.sched_getaffinity(0)),
    }


@pytest.mark.parametrize(
    "broken", [LASTING, REPLACED, pytest.param(MORE_REPLACED, marks=pytest.mark.slow)], ids=len
)
def test_training_that_breaks_costs_its_own_trial(
    broken: dict[str, str], tmp_path: Path, new_database: NewDatabase
) -> None:
    url = new_database("sqlite")
    run(url, spec("s", [*broken, "looking"], fixed=surroundings(tmp_path)))
    found = {row[0]: row[1:] for row in rows(url, VERDICTS)}
    assert found.pop("looking")[:2] == ("complete", 1.0)
    assert {name: row[0] for name, row in found.items()} == {
        name: "failed" if why else "complete" for name, why in broken.items()
    }
    for name, why in broken.items():
        assert why in found[name][2], name
    assert all(len(row[2]) < 30_000 for row in found.values())
    assert not [each for each in tmp_path.glob("daemon*") if runs(int(each.read_text()))]
    if "forked" in broken:
        refusal = "only the process of the trial can report, not one that it has forked"
        assert (tmp_path / "refused").read_text() == refusal and found["forked"][1] == 0.5


def runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_metrics_that_are_not_finite_are_null(tmp_path: Path, new_database: NewDatabase) -> None:
    url = new_database("sqlite")
    run(url, spec("s", ["infinite"], fixed=surroundings(tmp_path)))
    assert rows(url, "SELECT val_accuracy, val_loss FROM curves") == [(0.25, None)]
    assert rows(url, "SELECT metrics FROM hpo_epoch") == [('{"more": null, "none": null}',)]
