"""The list as a whole: order, what is left out, and errors that have words."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hpo.errors import DataError
from hpo.reporting.doctor import run as module
from hpo.reporting.doctor.checks import ProbeResult, ok, problem
from hpo.reporting.doctor.run import EXAMINATIONS, Environment, Probe, diagnose

PATIENT = Environment("sqlite:///hpo.db", "cpu")


def _diagnose(monkeypatch: pytest.MonkeyPatch, *examinations: Probe) -> list[tuple[str, ProbeResult]]:
    monkeypatch.setattr(module, "EXAMINATIONS", examinations)
    announced: list[str] = []
    found = [
        (examination.topic, diagnosis)
        for examination, diagnosis in diagnose(PATIENT, lambda each: announced.append(each.topic))
    ]
    assert announced == [topic for topic, _ in found]
    return found


def test_what_depends_on_something_broken_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    found = _diagnose(
        monkeypatch,
        Probe("device", lambda patient: problem("none", "buy one")),
        Probe("speed", lambda patient: ok("fast"), after="device"),
        Probe("data", lambda patient: ok(patient.storage_url)),
    )
    assert found == [("device", problem("none", "buy one")), ("data", ok("sqlite:///hpo.db"))]


def test_an_error_with_words_is_a_problem_and_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(patient: Environment) -> ProbeResult:
        raise DataError("no images")

    def bug(patient: Environment) -> ProbeResult:
        raise ZeroDivisionError

    assert _diagnose(monkeypatch, Probe("data", fails)) == [("data", problem("no images", ""))]
    with pytest.raises(ZeroDivisionError):
        _diagnose(monkeypatch, Probe("data", bug))


def test_what_is_depended_on_comes_before() -> None:
    topics = [examination.topic for examination in EXAMINATIONS]
    assert len(set(topics)) == len(topics)
    for place, examination in enumerate(EXAMINATIONS):
        assert examination.after in ("", *topics[:place])


def test_the_first_lines_do_not_wait_for_pytorch() -> None:
    script = "import sys, hpo.reporting.doctor.run; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
