"""The list as a whole: its order, skipped checks, errors."""

from __future__ import annotations

import errno
import subprocess
import sys

import pytest

from hpo.errors import DataError
from hpo.reporting.doctor import run as module
from hpo.reporting.doctor.checks import CheckResult, ok, problem
from hpo.reporting.doctor.run import DOCTOR_CHECKS, DoctorCheck, Environment, run_checks

ENVIRONMENT = Environment("sqlite:///hpo.db", "cpu")


def _run(monkeypatch: pytest.MonkeyPatch, *checks: DoctorCheck) -> list[tuple[str, CheckResult]]:
    monkeypatch.setattr(module, "DOCTOR_CHECKS", checks)
    announced: list[str] = []
    found = [
        (check.topic, result)
        for check, result in run_checks(ENVIRONMENT, lambda each: announced.append(each.topic))
    ]
    assert announced == [topic for topic, _ in found]
    return found


def test_run_checks_skips_what_depends_on_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    found = _run(
        monkeypatch,
        DoctorCheck("device", lambda environment: problem("none", "buy one")),
        DoctorCheck("speed", lambda environment: ok("fast"), after=("device",)),
        DoctorCheck("data", lambda environment: ok(environment.storage_url)),
    )
    assert found == [("device", problem("none", "buy one")), ("data", ok("sqlite:///hpo.db"))]


def test_run_checks_reports_an_hpo_error_and_raises_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(environment: Environment) -> CheckResult:
        raise DataError("no images")

    def bug(environment: Environment) -> CheckResult:
        raise ZeroDivisionError

    assert _run(monkeypatch, DoctorCheck("data", fails)) == [("data", problem("no images", ""))]
    with pytest.raises(ZeroDivisionError):
        _run(monkeypatch, DoctorCheck("data", bug))


def test_doctor_checks_follow_what_they_depend_on() -> None:
    topics = [check.topic for check in DOCTOR_CHECKS]
    assert len(topics) > 10 and len(set(topics)) == len(topics)
    for place, check in enumerate(DOCTOR_CHECKS):
        assert set(check.after) <= set(topics[:place])


def test_run_does_not_import_torch() -> None:
    script = "import sys, hpo.reporting.doctor.run; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_run_checks_reports_what_the_system_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(environment: Environment) -> CheckResult:
        raise PermissionError(errno.EACCES, "Permission denied", "/root/x")

    def unreachable(environment: Environment) -> CheckResult:
        raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")

    expected = [("data", problem("/root/x: Permission denied", ""))]
    assert _run(monkeypatch, DoctorCheck("data", refused)) == expected
    with pytest.raises(ConnectionRefusedError):
        _run(monkeypatch, DoctorCheck("data", unreachable))
