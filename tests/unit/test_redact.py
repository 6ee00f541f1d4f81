"""Passwords are taken out of any text, and nothing else is."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TextIO, cast

import pytest

from hpo.cli.app import run_command
from hpo.redact import Redacted, holds_password, redact
from hpo.workers.process import KernelKills, WorkerProcess

SECRET = "Tr0ub4dor-and-3"


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://ada:{SECRET}@db/results",
        f"cannot use postgresql+psycopg://ada:{SECRET}@db:5432/results: it is down",
        f"two: postgresql://a:{SECRET}@h/d and postgresql://b:x{SECRET}@h/d",
        f"'postgresql://ada:p@ss:/{SECRET}'x@db/results'",
        f"postgresql://db/results?user=ada&password={SECRET}&sslmode=require",
        f"postgresql://db/results?sslpassword={SECRET}",
        f"invalid connection: host=db password={SECRET} dbname=results",
        f"host=db password='{SECRET} with spaces' dbname=results",
        f"File x.py\nValueError: postgresql://ada:{SECRET}@db/results\n",
    ],
)
def test_the_password_is_gone_and_the_rest_is_there(text: str) -> None:
    shown = redact(text)
    assert SECRET not in shown and "***" in shown
    for word in ("results", "ada", "cannot use", "it is down", "sslmode=require", "File x.py\n"):
        assert (word in shown) == (word in text)


@pytest.mark.parametrize(
    "text",
    [
        "loss = 2.3, lr=0.1 at epoch 3: 50 %",
        "https://pytorch.org/docs/stable/generated/x.html#a:b",
        "sqlite:////home/ada/hpo.db",
        "postgresql://ada@db/results",
        "mail ada@example.org: now",
    ],
)
def test_text_without_a_password_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


def test_a_stream_is_otherwise_what_it_was() -> None:
    below = io.StringIO()
    stream = cast(TextIO, Redacted(below))
    print(f"postgresql://ada:{SECRET}@db/x", file=stream)
    assert below.getvalue() == "postgresql://ada:***@db/x\n"
    assert stream.isatty() is False


def test_an_argument_with_a_password_is_known() -> None:
    assert holds_password(f"postgresql://ada:{SECRET}@db/x")
    assert holds_password(f"--storage=postgresql://ada:{SECRET}@db/x")
    assert not any(map(holds_password, ["run", "postgresql://ada@db/x", "--set", "lr=0.1", "C:/x"]))


@pytest.mark.parametrize(
    "command",
    [
        ["status", f"postgresql://ada:{SECRET}@db/x", "too", "many"],
        ["query", "SELECT 1", f"--sotrage=postgresql://ada:{SECRET}@db/x"],
        ["run", f"postgresql://ada:{SECRET}@db/x"],
        ["status", "--storage", f"mysql://ada:{SECRET}@db/x"],
        ["status", "--storage", f"postgresql://ada:{SECRET}@[::1/x"],
        ["--debug", "status", "--storage", f"postgresql://ada:{SECRET}@127.0.0.1:1/x"],
        ["db", "backup", "-o", "x", "--storage", f"postgresql://ada:{SECRET}@db/x"],
    ],
)
def test_a_mistaken_command_does_not_repeat_the_password(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(command) in (1, 2)
    shown = capsys.readouterr()
    assert SECRET not in shown.out + shown.err
    assert "everyone on this machine can see a password in a command" in shown.err


def test_without_a_password_in_the_command_there_is_no_warning() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hpo", "status", "a", "b"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "password" not in done.stderr


def test_crash_report_has_no_password(tmp_path: Path) -> None:
    worker = object.__new__(WorkerProcess)
    worker.name, worker.hung, worker.process = "worker-1", False, cast(Any, SimpleNamespace(exitcode=1))
    worker._kills = KernelKills()
    worker.output = tmp_path / "worker-1.log"
    worker.output.write_text(f"Traceback ...\nOperationalError: postgresql://ada:{SECRET}@db/x\n")
    report = worker.crash_report()
    for text in (report.message, report.output):
        assert "OperationalError: postgresql://ada:***@db/x" in text and SECRET not in text
    assert worker.output.read_text() == "Traceback ...\nOperationalError: postgresql://ada:***@db/x\n"
