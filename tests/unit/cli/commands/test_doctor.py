"""``hpo doctor``: lines for people, JSON for programs, and the exit code."""

from __future__ import annotations

import json

import pytest

from hpo.cli.app import run_command
from hpo.reporting.doctor import run
from hpo.reporting.doctor.checks import ProbeResult, ok, problem, warning
from hpo.reporting.doctor.run import Probe

FIT = Probe("python", lambda patient: ok("Python 3"))
SLOW = Probe("speed", lambda patient: warning("slow", "wait\nor do not"), "measuring")


def _sick(message: str) -> Probe:
    return Probe("database", lambda patient: problem(f"{patient.storage_url}: {message}", "mend it"))


def _list(monkeypatch: pytest.MonkeyPatch, *found: Probe) -> None:
    monkeypatch.setattr(run, "EXAMINATIONS", found)


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
    _list(monkeypatch, _sick("\x1b[31m down"), FIT)
    assert run_command(["doctor", "--storage", "sqlite:///x.db"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("problem database   sqlite:///x.db: \\x1b[31m down\n")
    assert "python" in out


def test_json_has_everything(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    _list(monkeypatch, FIT, _sick("down"))
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
    def examine(patient: run.Environment) -> ProbeResult:
        return ok(patient.device)

    _list(monkeypatch, Probe("devices", examine))
    run_command(["doctor", "--device", "cuda:1"])
    assert capsys.readouterr().out == "ok      devices    cuda:1\n"


def test_this_machine_is_fit(demo: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["doctor", "--json", "--device", "cpu", "--storage", demo]) == 0
    told = json.loads(capsys.readouterr().out)
    topics = [each["topic"] for each in told["diagnoses"]]
    assert topics == [examination.topic for examination in run.EXAMINATIONS]
    assert "images/s" in told["diagnoses"][-1]["message"]
