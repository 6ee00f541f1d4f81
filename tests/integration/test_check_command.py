"""``hpo check`` on a bundled study and on a user's own network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpo.cli.app import run_command
from hpo.data.datasets import Dataset

STUDY = """\
study: tiny
trials: 3
fixed: {dataset: synthetic, model: mlp, width: 2, epochs: 2, batch_size: 16, augmentation: none, lr: 0.05}
space:
  momentum: {uniform: [0.5, 0.9]}
checks: "off"
"""
NETWORK = """\
from torch import nn

def build(options, in_shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(3072, 16), nn.ReLU(), nn.Linear(16, classes))
"""


@pytest.fixture(autouse=True)
def images(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Ten classes told apart by which rows are bright, in place of a data set."""
    random = np.random.default_rng(0)
    labels = np.arange(800, dtype=np.int64) % 10
    pixels = random.integers(0, 120, (800, 3, 32, 32)).astype(np.uint8)
    pixels[np.arange(800), :, labels * 3, :] = 255
    dataset = Dataset(
        "synthetic", tuple("abcdefghij"), pixels, labels, pixels[:20], labels[:20], "tiny", "made for a test"
    )
    monkeypatch.setattr("hpo.data.datasets.load_dataset", lambda *_, **__: dataset)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(STUDY)


def report(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code = run_command(["check", *arguments, "--json", "--device", "cpu"])
    shown = capsys.readouterr()
    assert shown.out, shown.err
    return code, json.loads(shown.out)


def test_a_study_is_checked_also_where_its_checks_are_off(capsys: pytest.CaptureFixture[str]) -> None:
    code, said = report(capsys, "tiny.yaml")
    assert code == 0 and said["fatal"] is False
    assert said["configuration"]["model"] == "mlp" and len(said["curve"]) == 2
    checks = {finding["check"] for finding in said["findings"]}
    assert {"input_scale", "initial_loss", "trained_parameters", "exploding_loss"} <= checks


def test_a_planned_trial_is_checked(capsys: pytest.CaptureFixture[str]) -> None:
    momenta = [report(capsys, "tiny.yaml", "--trial", str(n))[1]["configuration"]["momentum"] for n in (0, 1)]
    assert momenta[0] != momenta[1] and all(0.5 <= each <= 0.9 for each in momenta)


def test_what_is_fatal_exits_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    code, said = report(capsys, "tiny.yaml", "--set", "lr=1e20")
    assert code == 1 and said["fatal"] is True
    assert said["verdict"]["cause"] == "lr_too_high" and said["verdict"]["change"]["lr"] < 1e20


def test_names_that_are_not_there_exit_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    for source in ("nowhere.yaml", "nowhere:build"):
        assert run_command(["check", source, "--device", "cpu"]) == 2
        error = capsys.readouterr().err
        assert "nowhere" in error and "Traceback" not in error


def test_the_report_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["check", "tiny.yaml", "--device", "cpu"]) == 0
    shown = capsys.readouterr().out
    assert "mlp on synthetic" in shown and "initial_loss" in shown and "verdict" in shown


def test_a_network_of_ones_own(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "mine_to_check.py").write_text(NETWORK)
    options = [
        "--set",
        "dataset=synthetic",
        "--set",
        "batch_size=8",
        "--set",
        "augmentation=none",
        "--set",
        "lr=0.01",
    ]
    code, said = report(capsys, "mine_to_check:build", *options)
    assert code == 0 and said["configuration"]["model"] == "mine_to_check:build"
    assert [layer["name"] for layer in said["layers"]["layers"]] == ["1", "3"]
