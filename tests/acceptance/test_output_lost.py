"""A reader that leaves, a full disk behind the output, a session that drops: a run ends in good order."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import forked
from tests.helpers.hpo_command import Hpo, Running

pytestmark = pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)


def _leave(running: Running) -> None:
    assert running.process.stdout is not None
    running.process.stdout.close()


def _hang_up(running: Running) -> None:
    # Once from the kernel, once from the shell; and the terminal is gone.
    running.process.send_signal(signal.SIGHUP)
    running.process.send_signal(signal.SIGHUP)
    _leave(running)


@pytest.mark.parametrize(("end", "code"), [(_leave, 141), (_hang_up, 129)])
def test_run_saves_and_releases_its_trial_when_its_output_ends(
    hpo: Hpo, end: Callable[[Running], None], code: int
) -> None:
    study = hpo.write_study(trials=1, epochs=500)
    running = hpo.start("run", study, "--json", "--workers", "1", "--set", "checks=off")
    running.wait_for("epoch_done")
    end(running)
    ended, errors = running.end()
    assert ended == code, errors
    assert "Traceback" not in errors and "should not happen" not in errors
    assert hpo.rows("SELECT state FROM hpo_slot") == [{"state": "waiting"}]
    assert hpo.rows("SELECT outcome FROM attempts") == [{"outcome": "released"}]


@pytest.mark.parametrize("command", ["run", pytest.param("worker", marks=pytest.mark.slow)])
def test_training_saves_and_releases_its_trial_when_stdout_is_full(hpo: Hpo, command: str) -> None:
    study = hpo.write_study(trials=1, epochs=500)
    arguments = ["run", study, "--json", "--workers", "1", "--set", "checks=off"]
    if command == "worker":
        assert hpo("submit", study, "--set", "checks=off").returncode == 0
        arguments = ["worker", "--slots", "1"]
    code, errors = _into_full(hpo, *arguments)
    assert code == 1
    assert errors.splitlines()[-1] == "error: cannot write standard output: No space left on device"
    assert "nothing can be printed any more: the trials are saved" in errors
    assert hpo.rows("SELECT count(*) AS held FROM hpo_slot WHERE state = 'running'") == [{"held": 0}]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("status", "--json"),
        ("query", "SELECT 1 AS one"),
        ("schema",),
    ],
)
def test_command_into_a_full_stdout_says_so(hpo: Hpo, arguments: tuple[str, ...]) -> None:
    code, errors = _into_full(hpo, *arguments)
    assert code == 1
    assert errors.splitlines()[-1] == "error: cannot write standard output: No space left on device"
    assert "should not happen" not in errors


def test_command_whose_reader_left_ends_quietly(hpo: Hpo) -> None:
    rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) SELECT i FROM n"
    for arguments in (("query", rows, "--format", "csv"), ("status",)):
        reader, writer = os.pipe()
        os.close(reader)
        assert _with_stdout(hpo, writer, *arguments) == (141, "")


def test_watched_study_ends_when_the_reader_leaves_without_a_change(hpo: Hpo) -> None:
    study = hpo.write_study(trials=1)
    assert hpo("submit", study).returncode == 0
    watching = hpo.start("status", "tiny", "--watch")
    assert watching.process.stdout is not None
    assert watching.process.stdout.readline() == "tiny  0 of 1 trial done: no trial started\n"
    _leave(watching)
    assert watching.end() == (141, "")


def test_full_stderr_keeps_the_exit_code_of_the_error(hpo: Hpo) -> None:
    with Path("/dev/full").open("w") as full:
        process = _start(hpo, ("status", "nowhere"), stdout=subprocess.PIPE, stderr=full)
    process.communicate(timeout=60)
    assert process.returncode == 2


def _into_full(hpo: Hpo, *arguments: str) -> tuple[int, str]:
    return _with_stdout(hpo, os.open("/dev/full", os.O_WRONLY), *arguments)


def _with_stdout(hpo: Hpo, descriptor: int, *arguments: str) -> tuple[int, str]:
    process = _start(hpo, arguments, stdout=descriptor, stderr=subprocess.PIPE)
    os.close(descriptor)
    errors = process.communicate(timeout=120)[1]
    return process.returncode, errors


def _start(hpo: Hpo, arguments: tuple[str, ...], **streams: Any) -> forked.ForkedPython:
    command = ["-m", "hpo", *arguments]
    return forked.ForkedPython(command, cwd=hpo.folder, env=hpo.environment, text=True, **streams)
