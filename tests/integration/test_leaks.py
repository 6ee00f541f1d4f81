"""Images and groups in two splits: told once, when a study is submitted, and as findings on it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import select

from hpo.config.parsing.load import parse_study
from hpo.config.study import StudySpec
from hpo.data.synthetic import make_synthetic
from hpo.diagnosis.findings import study_findings
from hpo.diagnosis.refresh import refresh_findings
from hpo.diagnosis.trials import study_results
from hpo.stages import leaks
from hpo.stages.leaks import leak_findings
from hpo.storage.store import ResultsStore
from hpo.storage.tables import STUDY_FINDINGS
from hpo.training.study_images import choose_images, load_chosen_images
from hpo.workers.submit import submit_study


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPO_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Noisy pictures of 32 x 32: 20 of each class to train on, 10 each for validation and for test."""
    images, labels, _, _ = make_synthetic(0, 40, 1)
    for label in (0, 1):
        for number, image in enumerate(images[labels == label]):
            split = "train" if number < 20 else "val" if number < 30 else "test"
            path = tmp_path / "pets" / split / "ab"[label] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.transpose(1, 2, 0)).save(path)
    return tmp_path / "pets"


def study(root: Path, more: str = "") -> StudySpec:
    fixed = f"dataset: folder, data_root: {root}, image_size: 32, channels: 3, batch_size: 4"
    return parse_study(
        f"study: s\ntrials: 1\n{more}\nfixed: {{{fixed}, val_fraction: 0.2}}\n"
        "space: {lr: {log: [1e-3, 0.1]}}\n",
        "s.yaml",
    )


def found(root: Path, more: str = "") -> list[Any]:
    spec = study(root, more)
    chosen = choose_images(spec)
    return leak_findings(spec, load_chosen_images(spec, chosen), chosen.name)


def test_different_images_are_not_accused(pets: Path) -> None:
    assert found(pets) == found(pets, "validation: drawn") == []


def test_an_equal_image_in_validation_is_told_with_both_files(pets: Path) -> None:
    shutil.copy(pets / "train" / "a" / "3.png", pets / "val" / "a" / "copy.png")
    (finding,) = found(pets)
    assert (finding.check, finding.severity) == ("leak", "warn")
    assert finding.message.startswith("1 of 21 validation images is also among those of training, such as ")
    assert "pets/val/a/copy.png (in training: " in finding.message and "train/a/3.png)" in finding.message
    assert finding.evidence["splits"] == ["train", "validation"] and finding.evidence["exact"]
    assert found(pets, "validation: drawn") == []  # the copy is not used


def test_images_that_were_saved_again_are_told_if_there_are_several(pets: Path) -> None:
    for number in range(9):
        picture = Image.open(pets / "train" / "b" / f"{number}.png").resize((48, 48))
        picture.save(pets / "test" / "b" / f"again{number}.jpg", quality=95)
        if number == 1:
            assert found(pets) == []  # two may look alike by chance
    (finding,) = found(pets)
    assert finding.severity == "warn" and finding.evidence["images"] >= 5 and not finding.evidence["exact"]
    assert " of 29 test images are nearly equal to others among those of training" in finding.message


def test_among_too_many_images_only_equal_ones_are_looked_for(
    pets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        shutil.copy(pets / "train" / "b" / f"{number}.png", pets / "test" / "b" / f"again{number}.png")
    monkeypatch.setattr(leaks, "MOST_NEARLY", 10)
    (finding,) = found(pets)
    assert finding.evidence["looked_for_nearly_equal"] is False and finding.evidence["images"] == 6
    monkeypatch.setattr(leaks, "MOST_COMPARED", 0)
    monkeypatch.setattr(leaks, "_AT_ONCE", 20)
    (finding,) = found(pets)
    assert finding.evidence["compared"] == {"train": 20, "validation": 20, "test": 26}
    assert finding.evidence["images"] == 3  # every second training image was compared


def test_strokes_on_a_background_are_not_nearly_equal(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for split, count in (("train", 40), ("test", 20)):
        for label in ("one", "two"):
            for number in range(count):
                image = np.zeros((28, 28), np.uint8)
                column, width = (8 if label == "one" else 16) + random.integers(2), 4
                image[4:24, column : column + width] = 255 - random.integers(0, 20, (20, width))
                path = tmp_path / "strokes" / split / label / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image).save(path)
    assert found(tmp_path / "strokes") == []


def patients(pets: Path) -> Path:
    """Put each five images of a class into the folder of a patient."""
    root = pets.parent / "scans"
    for number, path in enumerate(sorted((pets / "train").glob("*/*.png"))):
        place = root / path.parent.name / f"p{number // 5}" / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    return root


def test_folders_that_may_be_patients_are_a_note_until_they_are_groups(pets: Path) -> None:
    root = patients(pets)
    (finding,) = found(root)
    assert (finding.severity, finding.change) == ("note", {"groups": "folder"})
    assert "of 8 groups (groups: folder) have images in several of training, validation" in finding.message
    assert found(root, "groups: folder") == []


def test_groups_that_came_divided_are_a_warning(pets: Path) -> None:
    root = patients(pets)
    shutil.copytree(root, root / "train")
    for name in ("a", "b"):
        shutil.move(root / name, root / "test" / name)
    for path in (root / "test").glob("*/*/*.png"):
        Image.open(path).transpose(Image.Transpose.ROTATE_90).save(path)
    groups = [each for each in found(root, "groups: folder") if "rule" in each.evidence]
    (finding,) = groups
    assert finding.severity == "warn" and finding.evidence["splits"] == [
        ["train", "test"],
        ["validation", "test"],
    ]


def test_leaks_are_stored_once_and_stay_as_trials_end(pets: Path, tmp_path: Path) -> None:
    shutil.copy(pets / "train" / "a" / "3.png", pets / "val" / "a" / "copy.png")
    with ResultsStore(f"sqlite:///{tmp_path / 'hpo.db'}") as store:
        submitted = submit_study(store, study(pets))
        assert sum("is also among" in each for each in submitted.warnings) == 1
        assert not any("is also among" in each for each in submit_study(store, study(pets)).warnings)
        for _ in range(2):
            rows = store.read(lambda connection: connection.execute(select(STUDY_FINDINGS)).all())
            assert [(row.check_name, row.severity) for row in rows] == [("leak", "warn")]
            (kept,) = study_findings(study_results(store.engine, "s"))
            assert kept.message == rows[0].message and json.dumps(kept.evidence)
            refresh_findings(store, "s")


def test_data_sets_by_name_are_not_searched() -> None:
    named: Any = SimpleNamespace(name="digits")  # nothing else of it is looked at
    assert leak_findings(study(Path("x")), named, lambda split, row: "") == []
