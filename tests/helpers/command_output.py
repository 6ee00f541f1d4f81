"""What a command prints, run in this process."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hpo.cli.app import run_command

Capture = pytest.CaptureFixture[str]


def output_lines(capsys: Capture, *command: str, code: int = 0) -> list[str]:
    """Return the lines on stdout, without trailing blanks; the command must exit with ``code``."""
    capsys.readouterr()
    found = run_command(command)
    shown = capsys.readouterr()
    assert found == code, shown.err
    return [line.rstrip() for line in shown.out.splitlines()]


def output_json(capsys: Capture, *command: str) -> Any:
    """Return the JSON that a command prints with ``--json``."""
    return json.loads("\n".join(output_lines(capsys, *command, "--json")))


def error_text(capsys: Capture, *command: str, code: int = 2) -> str:
    """Return what a command that must fail prints on stderr."""
    capsys.readouterr()
    found = run_command(command)
    shown = capsys.readouterr()
    assert found == code, shown.out + shown.err
    return shown.err
