"""``hpo doctor``: lines for people, JSON for programs, and the exit code."""

from __future__ import annotations

import json

import pytest

from hpo.cli.app import run_command
from hpo.reporting.doctor import run
from hpo.reporting.doctor.checks import CheckResult, ok, problem, warning
from hpo.reporting.doctor.run import DoctorCheck

FIT = DoctorCheck("python", lambda environment: ok("Python 3"))
SLOW = DoctorCheck("speed", lambda environment: warning("slow", "wait\nor do not"), "measuring")


def _broken(message: str) -> DoctorCheck:
    return DoctorCheck(
        "database", lambda environment: problem(f"{environment.storage_url}: {message}", "mend it")
    )


def _list(monkeypatch: pytest.MonkeyPatch, *found: DoctorCheck) -> None:
    monkeypatch.setattr(run, "DOCTOR_CHECKS", found)


def test_a_line_each_with_remedies_below(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _list(monkeypatch, FIT, SLOW)
    assert run_command(["doctor"]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        "ok      python     Python 3",
        "warning speed      slow",
        "                   wait",
        "                   or do not",
    ]
    assert captured.err == ""


def test_a_problem_gives_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _list(monkeypatch, _broken("\x1b[31m down"), FIT)
    assert run_command(["doctor", "--storage", "sqlite:///x.db"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("problem database   sqlite:///x.db: \\x1b[31m down\n")
    assert "python" in out


def test_json_has_everything(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    _list(monkeypatch, FIT, _broken("down"))
    assert run_command(["doctor", "--json", "--storage", "sqlite:///x.db"]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "problems": 1,
        "diagnoses": [
            {"topic": "python", "condition": "ok", "message": "Python 3", "remedy": ""},
            {
                "topic": "database",
                "condition": "problem",
                "message": "sqlite:///x.db: down",
                "remedy": "mend it",
            },
        ],
    }


def test_the_device_is_passed_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def name_device(environment: run.Environment) -> CheckResult:
        return ok(environment.device)

    _list(monkeypatch, DoctorCheck("devices", name_device))
    run_command(["doctor", "--device", "cuda:1"])
    assert capsys.readouterr().out == "ok      devices    cuda:1\n"


def test_this_machine_is_fit(demo: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["doctor", "--json", "--device", "cpu", "--storage", demo]) == 0
    told = json.loads(capsys.readouterr().out)
    topics = [each["topic"] for each in told["diagnoses"]]
    assert topics == [check.topic for check in run.DOCTOR_CHECKS]
    assert "images/s" in told["diagnoses"][-1]["message"]
