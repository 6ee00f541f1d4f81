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
    """Ten classes that differ in which rows are bright, in place of a data set."""
    random = np.random.default_rng(0)
    labels = np.arange(800, dtype=np.int64) % 10
    pixels = random.integers(0, 120, (800, 3, 32, 32)).astype(np.uint8)
    pixels[np.arange(800), :, labels * 3, :] = 255
    dataset = Dataset(
        "synthetic",
        tuple("abcdefghij"),
        pixels,
        labels,
        pixels[:20],
        labels[:20],
        "tiny",
        "made for a test",
        warnings=("1 file is left out",),
    )
    monkeypatch.setattr("hpo.training.study_images.load_images", lambda *_, **__: dataset)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(STUDY)


def report(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code = run_command(["check", *arguments, "--json", "--device", "cpu"])
    shown = capsys.readouterr()
    assert shown.out, shown.err
    return code, json.loads(shown.out)


def test_check_of_a_study_without_checks_runs_them(capsys: pytest.CaptureFixture[str]) -> None:
    code, result = report(capsys, "tiny.yaml")
    assert code == 0 and result["fatal"] is False
    assert result["configuration"]["model"] == "mlp" and len(result["curve"]) == 2
    checks = {finding["check"] for finding in result["findings"]}
    assert {"input_scale", "initial_loss", "trained_parameters", "exploding_loss"} <= checks


def test_check_of_a_planned_trial_has_its_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    momenta = [report(capsys, "tiny.yaml", "--trial", str(n))[1]["configuration"]["momentum"] for n in (0, 1)]
    assert momenta[0] != momenta[1] and all(0.5 <= each <= 0.9 for each in momenta)


def test_check_with_a_fatal_finding_exits_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    code, result = report(capsys, "tiny.yaml", "--set", "lr=1e20")
    assert code == 1 and result["fatal"] is True
    assert result["verdict"]["cause"] == "lr_too_high" and result["verdict"]["change"]["lr"] < 1e20


@pytest.mark.parametrize("source", ["nowhere.yaml", "nowhere:build"])
def test_check_of_an_unknown_source_exits_with_2(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["check", source, "--device", "cpu"]) == 2
    error = capsys.readouterr().err
    assert "nowhere" in error and "Traceback" not in error


def test_check_without_json_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["check", "tiny.yaml", "--device", "cpu"]) == 0
    shown, said = capsys.readouterr()
    assert "mlp on synthetic" in shown and "initial_loss" in shown and "verdict" in shown
    assert said == "warning: 1 file is left out\n"


def test_check_of_a_users_network_reads_its_layers(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "mine_to_check.py").write_text(NETWORK)
    settings = ("dataset=synthetic", "batch_size=8", "augmentation=none", "lr=0.01")
    options = [part for setting in settings for part in ("--set", setting)]
    code, result = report(capsys, "mine_to_check:build", *options)
    assert code == 0 and result["configuration"]["model"] == "mine_to_check:build"
    layers = result["layers"]["layers"]
    assert [layer["name"] for layer in layers] == ["1", "3"]
    assert layers[0].keys() >= {"nonlinearity", "mean", "std", "dead", "update_ratio", "mute", "crossing"}
