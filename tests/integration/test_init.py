"""What `hpo init` writes runs, by this machine's real speed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hpo.cli.app import run_command


def test_the_file_runs_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command(["init", "--images", "synthetic", "--length", "1x1"]) == 0
    said = re.search(r"at ([\d,]+) images/s", Path("study.yaml").read_text())
    assert said is not None and int(said[1].replace(",", "")) > 0
    few = ["--set", "train_images=200", "--workers", "1"]
    assert run_command(["run", "study.yaml", "--storage", "sqlite:///study.db", *few]) == 0
    assert "study  all 1 trial" in capsys.readouterr().out
