"""The program as a whole: help without heavy imports, errors in words, exit codes."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import hpo
from hpo.cli.app import run_command
from hpo.errors import StorageError, UserError

HEAVY = (
    "torch",
    "torchvision",
    "numpy",
    "optuna",
    "optuna_dashboard",
    "sqlalchemy",
    "pandas",
    "pydantic",
    "rich",
)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom hpo.cli.app import run_command\nassert run_command(['--help']) == 0\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_takes_less_than_half_a_second_of_the_processor() -> None:
    """User time: the wall clock of a busy machine says little."""
    before = os.times()
    subprocess.run([sys.executable, "-m", "hpo", "--help"], capture_output=True, check=True)
    assert os.times().children_user - before.children_user < 0.5


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("run", "status", "show", "query", "repeat", "dashboard", "studies", "schema", "db"):
        assert run_command([command, "--help"]) == 0
        assert f"Usage: hpo {command}" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["--version"]) == 0
    assert capsys.readouterr().out == f"hpo {hpo.__version__}\n"


def test_a_wrong_command_is_a_users_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["rum"]) == 2
    assert "Did you mean 'run'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (UserError("no \x1b[2J\x9bsuch thing"), 2, "error: no \\x1b[2J\\x9bsuch thing\n"),
        (StorageError("the disk is full"), 1, "error: the disk is full\n"),
        (
            ZeroDivisionError("division by zero"),
            1,
            "error: ZeroDivisionError: division by zero\n  This should not happen. "
            "Run the command again with --debug to see the traceback.\n",
        ),
    ],
)
def test_errors_are_said_in_words(
    error: Exception,
    code: int,
    text: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("hpo.config.parsing.source.bundled_studies", fail)
    assert run_command(["studies", "--bundled"]) == code
    assert capsys.readouterr().err == text


@pytest.mark.parametrize(
    "arguments", [["--debug", "run", "nix"], ["run", "--debug", "nix"], ["run", "nix", "--debug"]]
)
def test_debug_shows_where_an_error_came_from(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(arguments) == 2
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert "error: there is no study file or bundled study 'nix'" in shown


def test_debug_after_two_dashes_is_an_argument(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["run", "--", "--debug"]) == 2
    assert "bundled study '--debug'" in capsys.readouterr().err


def test_a_wrong_study_file_is_reported_with_every_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text("study: s\ntrials: 0\nfixed: {lr: fast}\n")
    assert run_command(["run", str(path)]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"error: 2 mistakes in the study {path}",
        f"  {path}:2: trials: 0 is below 1, the smallest allowed",
        f"  {path}:3: lr: 'fast' is not a number",
    ]


def test_a_reader_that_goes_away_is_no_error(demo: str) -> None:
    sql = "SELECT * FROM results, results r2"
    command = f"{sys.executable} -m hpo query --storage {demo} --format csv '{sql}' | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("study,")
    assert done.stderr == ""


def test_ctrl_c_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hpo.config.parsing.source.bundled_studies", interrupted)
    assert run_command(["studies", "--bundled"]) == 130


def test_an_ascii_terminal_is_no_error(demo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    with io.TextIOWrapper(written, encoding="ascii") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert run_command(["show", "demo", "1"]) == 0
        stream.flush()
        assert b"val_accuracy ???" in written.getvalue()
