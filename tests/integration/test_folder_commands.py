"""What the images of a folder decide is said by the commands that come before a training."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpo.cli.app import run_command
from hpo.config.image_format import STANDARD
from hpo.config.parsing.load import load_study
from hpo.queue.slots import register_study
from hpo.storage.store import ResultsStore
from hpo.training.study_images import load_study_images

STUDY = """\
study: pets
trials: 2
fixed: {dataset: folder, data_root: pets, model: mlp, width: 2, epochs: 1, batch_size: 4, augmentation: none}
space: {lr: {log: [1e-3, 1e-1]}}
"""
COMMANDS = {
    "submit": ["submit", "pets.yaml", "--storage", "sqlite:///pets.db"],
    "check": ["check", "pets.yaml", "--device", "cpu"],
}


@pytest.fixture
def pets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write 22 images of cats and three of dogs, for training and for test."""
    monkeypatch.chdir(tmp_path)
    Path("pets.yaml").write_text(STUDY)
    random = np.random.default_rng(0)
    for split in ("train", "test"):
        for name, count in {"cat": 22, "dog": 3}.items():
            folder = tmp_path / "pets" / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = random.integers(0, 256, (32, 32, 3), np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    return tmp_path / "pets"


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.usefixtures("pets")
def test_class_with_too_few_images_is_named_before_training(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command([*command, "--set", "val_fraction=0.1"]) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "class dog has 3 training images, and val_fraction: 0.1 leaves none of it" in error
    assert "Add images of dog, leave the class out, or use val_fraction: 0.2" in error


@pytest.mark.usefixtures("pets")
def test_registered_study_with_too_few_images_can_be_submitted(capsys: pytest.CaptureFixture[str]) -> None:
    spec = load_study("pets.yaml", ["val_fraction=0.1"])
    with ResultsStore("sqlite:///pets.db") as store:
        register_study(store, spec, load_study_images(spec, "folder", STANDARD))
    assert run_command([*COMMANDS["submit"], "--set", "val_fraction=0.1"]) == 0
    assert "; 2 classes: cat, dog" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_unused_folder_is_reported_and_few_images_work(
    pets: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """0.3 of 25 images are 7.5, rounded to 8: the dry run has 17 to train on."""
    shutil.copytree(pets / "test", pets / "val")
    assert run_command([*command, "--set", "val_fraction=0.3", "--set", "validation=drawn"]) in (0, 1)
    error = " ".join(capsys.readouterr().err.split())
    assert f"warning: {pets / 'val'} is not used: hpo draws validation images from train" in error
    assert "error" not in error
