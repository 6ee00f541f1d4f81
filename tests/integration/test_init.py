"""What `hpo init` writes runs, by this machine's real speed."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hpo.cli.app import run_command
from tests.helpers import forked


def test_the_file_runs_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command(["init", "--images", "synthetic", "--length", "1x1"]) == 0
    said = re.search(r"at ([\d,]+) images/s", Path("study.yaml").read_text())
    assert said is not None and int(said[1].replace(",", "")) > 0
    few = ["--set", "train_images=200", "--workers", "1"]
    done = forked.run(["-m", "hpo", "run", "study.yaml", *few], cwd=tmp_path)
    assert done.returncode == 0 and "study  its only trial is done" in done.stdout, done.stderr


@pytest.mark.slow
def test_three_answers_on_a_terminal_write_a_file_that_runs(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "hpo", "init"], cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs
    ) as asking:
        os.close(theirs)
        said = ""
        for question, answer in (
            ("1. Which", "pets"),
            ("no folder", "synthetic"),
            ("2. How", "1x1"),
            ("3. What", ""),
        ):
            said = _until(ours, question, said)
            os.write(ours, f"{answer}\n".encode())
        _until(ours, "hpo run study.yaml", said)
        assert asking.wait(timeout=60) == 0
    os.close(ours)
    few = ["--set", "train_images=200", "--workers", "1"]
    done = forked.run(["-m", "hpo", "run", "study.yaml", *few], cwd=tmp_path)
    assert done.returncode == 0 and "study  its only trial is done" in done.stdout, done.stderr


def _until(terminal: int, wanted: str, said: str) -> str:
    """Read until it was said, from where it was; what comes after."""
    while wanted not in said:
        said += os.read(terminal, 4096).decode()
    return said.partition(wanted)[2]
