"""`hpo stop` and `hpo resume`, on a database with a running trial."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.cli.app import run_command
from tests.helpers.command_output import Capture, output_lines


def test_stop_and_resume_report_what_changed(own_demo: str, capsys: Capture) -> None:
    stopped = "1 worker will save and stop within seconds: hpo status demo"
    assert output_lines(capsys, "stop", "demo") == [f"demo is stopped; {stopped}"]
    assert output_lines(capsys, "stop", "demo") == [f"demo was already stopped; {stopped}"]
    resumed = "demo is resumed: workers may train it again; `hpo run` starts some"
    assert output_lines(capsys, "resume", "demo") == [resumed]
    assert output_lines(capsys, "resume", "demo") == ["demo was not stopped: nothing has changed"]


@pytest.mark.usefixtures("demo")
@pytest.mark.parametrize("command", ["stop", "resume"])
def test_stop_refuses_an_unknown_study(command: str, capsys: Capture) -> None:
    assert run_command([command, "nothing"]) == 2
    assert "there is no study nothing" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["stop", "resume"])
def test_stop_creates_no_database(command: str, tmp_path: Path, capsys: Capture) -> None:
    assert run_command([command, "tiny", "--storage", f"sqlite:///{tmp_path}/none.db"]) == 1
    assert "there is no database" in capsys.readouterr().err
    assert not (tmp_path / "none.db").exists()
