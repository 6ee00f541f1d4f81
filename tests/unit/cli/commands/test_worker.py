"""Mistakes in the arguments of `hpo worker` and `hpo submit`, refused before any process starts."""

from __future__ import annotations

import pytest

from hpo.cli.app import run_command
from tests.helpers.command_output import Capture


@pytest.mark.usefixtures("demo")
@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["worker", "--tags", "A B"], "'A B' is"),
        (["worker", "tony", "--until-idle"], "there is no study tony"),
        (["submit", "nothing.yaml"], "nothing.yaml"),
    ],
)
def test_worker_and_submit_refuse_wrong_arguments(command: list[str], message: str, capsys: Capture) -> None:
    assert run_command(command) == 2
    shown = capsys.readouterr().err
    assert message in shown and "Traceback" not in shown
