"""Trainings that are commands, in real processes: they report, resume, end early and fail on their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

import hpo.trial.own
from hpo.events import TrialPaused
from hpo.settings import settings
from hpo.signals import StopRequestedError
from tests.conftest import NewDatabase
from tests.helpers.own_command import spec, write_script
from tests.helpers.own_training import rows, run, submit, work

CURVES = "SELECT number, epoch, val_accuracy, metrics FROM curves WHERE study = :study ORDER BY 1, 2"
RESULTS = "SELECT slot, state, value, best_epoch FROM results WHERE study = :study ORDER BY slot"
VERDICTS = """
    SELECT json_extract(t.configuration, '$.does'), r.state, r.value, r.cause, r.verdict, t.error
    FROM results AS r JOIN hpo_trial AS t ON t.trial_id = r.trial_id WHERE r.study = :study ORDER BY r.slot
"""
ATTEMPTS = """
    SELECT a.from_epoch, a.to_epoch, a.outcome FROM hpo_attempt AS a
    JOIN hpo_trial AS t ON t.trial_id = a.trial_id JOIN hpo_study AS s ON s.study_id = t.study_id
    WHERE s.name = :study ORDER BY t.slot, a.attempt
"""


@pytest.fixture(autouse=True)
def _script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_script(tmp_path)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def url(new_database: NewDatabase) -> str:
    return new_database("sqlite")


def same(url: str, one: str, other: str) -> bool:
    assert rows(url, CURVES, study=one)
    assert rows(url, CURVES, study=one) == rows(url, CURVES, study=other)
    return rows(url, RESULTS, study=one) == rows(url, RESULTS, study=other)


def test_commands_that_fail_cost_only_themselves(url: str) -> None:
    does = ["sound", "failing", "crashing", "silent", "wrong", "backwards", "beyond", "sparse", "closing"]
    run(url, spec("s", does))
    found = {row[0]: row[1:] for row in rows(url, VERDICTS, study="s")}
    failed = does[1:7]
    assert [found[name][0] for name in does] == ["complete", *["failed"] * len(failed), *["complete"] * 2]
    verdict = {name: found[name][3].removeprefix("error: ") for name in failed}
    assert verdict["failing"] == "the command ended with exit code 1: no such file: sesame"
    assert found["failing"][4].splitlines() == ["starting", "no such file: sesame"]
    assert verdict["crashing"] == "the command was killed by signal SIGSEGV"
    assert "has reported only val_loss: it must report val_accuracy" in verdict["silent"]
    assert 'has val_accuracy: "high", which is not a number' in verdict["wrong"]
    assert "is of epoch 1, which cannot follow epoch 2" in verdict["backwards"]
    assert "is of epoch 5, beyond the budget of 4" in verdict["beyond"]
    assert found["sparse"][1] == 0.4


def test_epochs_that_are_not_reported_have_no_metrics(url: str) -> None:
    run(url, spec("s", ["sparse"]))
    values = [row[1:3] for row in rows(url, CURVES, study="s")]
    assert values == [(1, None), (2, 0.2), (3, None), (4, 0.4)]


@pytest.mark.parametrize("does", ["by_file", pytest.param("by_hpo", marks=pytest.mark.slow)])
def test_every_way_to_report_gives_the_same(does: str, url: str) -> None:
    for name in ("sound", does):
        run(url, spec(name, [name]))
    assert same(url, "sound", does)


@pytest.mark.parametrize("killed", [pytest.param("before 2", marks=pytest.mark.slow), "after 3"])
def test_killed_command_resumes_from_its_own_checkpoint(killed: str, url: str) -> None:
    run(url, spec("whole", ["sound"]))
    run(url, spec("killed", ["sound"], fixed={"killed": killed, "kills": "itself"}))
    assert same(url, "whole", "killed")
    reported = 1 if killed == "before 2" else 3
    first, (resumed, *rest) = rows(url, ATTEMPTS, study="killed")
    assert (first[2], rest) == ("lost", [4, "complete"])
    assert 1 <= resumed <= reported  # the last reports may still have been on their way


def test_command_that_numbers_no_epochs_starts_over(url: str) -> None:
    run(url, spec("s", ["unnumbered"], fixed={"killed": "before 1", "kills": "itself"}))
    assert [row[1] for row in rows(url, CURVES, study="s")] == [1, 2, 3, 4]
    (message,) = rows(url, "SELECT message FROM hpo_finding WHERE check_name = 'resume'")[0]
    assert message.startswith("started over after 1 epoch:")


def test_stopped_worker_leaves_the_command_to_resume(url: str) -> None:
    def stop_once_wanted() -> None:
        if Path("stop").exists():
            Path("stop").unlink()
            raise StopRequestedError

    run(url, spec("whole", ["sound"]))
    submit(url, spec("stopped", ["sound"], fixed={"stopped": "after 2"}))
    with pytest.raises(StopRequestedError):
        work(url, "stopped", stop_once_wanted)
    work(url, "stopped")
    assert same(url, "whole", "stopped")
    assert [row[2] for row in rows(url, ATTEMPTS, study="stopped")] == ["released", "complete"]


def test_paused_commands_are_promoted_with_the_same_results(url: str) -> None:
    rates: dict[str, Any] = {"space": {"lr": {"choice": [0.1, 0.9, 0.3, 0.5]}}, "trials": 4}
    run(url, spec("whole", ["sound"], **rates))
    pruner = {"asha": {"reduction": 2, "promote": True}}
    events = run(url, spec("asha", ["sound"], pruner=pruner, **rates))
    assert any(isinstance(event, TrialPaused) for event in events)
    whole = {row[0]: row for row in rows(url, RESULTS, study="whole")}
    finished = [row for row in rows(url, RESULTS, study="asha") if row[1] == "complete"]
    assert 0 < len(finished) < 4
    assert all(row == whole[row[0]] for row in finished)


def _runs(process: int) -> bool:
    return psutil.pid_exists(process) and psutil.Process(process).status() != psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("does", [pytest.param("endless", marks=pytest.mark.slow), "stubborn"])
def test_command_beyond_a_limit_is_ended_with_its_children(
    does: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hpo.trial.own, "LEAVE_SECONDS", 0.3)
    monkeypatch.setattr(hpo.trial.own, "TERM_SECONDS", 0.3)
    run(url, spec("s", [does, "sound"], limits={"minutes": 0.02}))
    first, second = rows(url, VERDICTS, study="s")
    assert (first[1], first[3]) == ("pruned", "time_limit")
    assert second[1] == "complete"
    if does == "stubborn":
        assert not _runs(int(Path("child").read_text()))


def test_command_is_told_about_its_trial(url: str) -> None:
    words = ["--lr", "{lr}", "n={trial.number}", "{{x}}", "{off}", "{{}}{text}"]
    fixed = {"off": None, "text": "a b", "flag": True, "small": 1e-5}
    run(url, spec("s", ["telling"], *words, fixed=fixed))
    arguments, told, parameters = json.loads(Path("told.json").read_text())
    assert arguments == ["--lr", "0.3", "n=0", "{x}", "null", "{}a b"]
    assert told["HPO_PARAM_SMALL"] == "1e-05" and told["HPO_PARAM_FLAG"] == "true"
    assert parameters == {"epochs": 4, "does": "telling", "lr": 0.3, **fixed}
    names = ("NUMBER", "STUDY", "STAGE", "DEVICE", "BUDGET", "DATA_SHARE", "FOLD", "FOLDS", "EPOCH")
    values = [told[f"HPO_TRIAL_{name}"] for name in names]
    assert values == ["0", "s", "main", "cpu", "4", "1.0", "", "0", "0"]
    assert list(Path(told["HPO_TRIAL_ARTIFACTS"]).iterdir())
    assert not Path(told["HPO_TRIAL_FOLDER"]).exists()


def test_command_that_cannot_be_started_fails(url: str) -> None:
    study = spec("s", ["sound"])
    Path("tool").write_bytes(b"\x7fELF\0of another machine")
    Path("tool").chmod(0o755)
    run(url, study.model_copy(update={"command": ("./tool",)}))
    (verdict,) = rows(url, "SELECT verdict FROM results")[0]
    assert "command ./tool cannot be started: Exec format error" in verdict


@pytest.mark.slow
def test_killed_worker_takes_its_command_along(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HPO_STORAGE", url)
    monkeypatch.setenv("HPO_ALLOWED_MODELS", sys.executable)
    settings.cache_clear()
    run(url, spec("whole", ["sound"]))
    submit(url, spec("killed", ["sound"], fixed={"killed": "before 3", "kills": "worker"}))
    command = [sys.executable, "-m", "hpo", "worker", "killed", "--until-idle", "--slots", "1"]
    subprocess.run(command, check=False, capture_output=True)  # fails, because a worker has died
    assert same(url, "whole", "killed")
    assert [row[2] for row in rows(url, ATTEMPTS, study="killed")] == ["lost", "complete"]
    left = [
        each for each in psutil.process_iter(["cwd", "cmdline"]) if each.info["cwd"] == os.fspath(tmp_path)
    ]
    assert not [each for each in left if "script.py" in (each.info["cmdline"] or [])]
