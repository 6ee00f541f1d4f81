"""A study of images that are neither square nor in color, from the folder to predictions of its export."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import text

import hpo.training.loop
from hpo import heartbeat
from hpo.artifacts.model import load_exported
from hpo.cli.app import run_command
from hpo.config.image_format import STANDARD, ImageFormat
from hpo.config.study import StudySpec
from hpo.errors import StudyChangedError
from hpo.signals import StopRequestedError
from hpo.storage.store import ResultsStore
from hpo.storage.studies import find_registered
from hpo.workers.loop import serve
from hpo.workers.messages import WorkOrder
from hpo.workers.submit import SubmittedStudy, submit_study

Capture = pytest.CaptureFixture[str]
SQLITE = pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
FIXED: dict[str, Any] = {
    "dataset": "folder",
    "val_fraction": 0.25,
    "width": 2,
    "epochs": 2,
    "batch_size": 8,
    "precision": "fp32",
    "augmentation": "flip_crop_cutout",
}
GIVEN = {"image_size": "16x24", "channels": "1", "resize": "crop"}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """20 gray pictures of 40 x 30 pixels of each of two classes: light above, light below."""
    random = np.random.default_rng(0)
    for name, rows in {"above": slice(0, 15), "below": slice(15, 30)}.items():
        folder = tmp_path / "pictures" / name
        folder.mkdir(parents=True)
        for number in range(20):
            pixels = random.integers(0, 120, (30, 40)).astype(np.uint8)
            pixels[rows] += 100
            Image.fromarray(pixels).save(folder / f"{number:02d}.png")
    return tmp_path / "pictures"


def submit(url: str, study: str, pictures: Path, **fixed: Any) -> SubmittedStudy:
    document = {
        "study": study,
        "trials": 1,
        "keep_best": 1,
        "fixed": FIXED | {"data_root": str(pictures)} | fixed,
        "space": {},
    }
    with ResultsStore(url) as store:
        return submit_study(store, StudySpec.model_validate(document))


def work(url: str, study: str, check_stop: Callable[[], None] = lambda: None) -> None:
    serve(WorkOrder(url, (study,), "cpu", 50), lambda event: None, check_stop, lambda ready: None)


def formats(url: str, study: str) -> ImageFormat:
    with ResultsStore(url) as store:
        found = find_registered(store.engine, study)
        assert found is not None
        return found.format


def hashes(url: str, study: str) -> list[str]:
    sql = text("SELECT weights_hash FROM results WHERE study = :study")
    with ResultsStore(url) as store, store.engine.connect() as connection:
        return list(connection.scalars(sql, {"study": study}))


@SQLITE
def test_gray_images_of_another_shape_from_the_folder_to_predictions(
    storage_url: str, pictures: Path, tmp_path: Path, capsys: Capture
) -> None:
    submit(storage_url, "s", pictures, **GIVEN)
    form = formats(storage_url, "s")
    assert form == ImageFormat(16, 24, 1, "crop")
    work(storage_url, "s")
    folder = tmp_path / "exported"
    capsys.readouterr()
    assert run_command(["export", "s", "-o", str(folder), "--storage", storage_url, "--json"]) == 0
    exported = json.loads(capsys.readouterr().out)
    assert exported["measured"]["accuracy"] == pytest.approx(exported["recorded_accuracy"], abs=0.01)
    assert "for images of 16 x 24 pixels in gray and 2 classes" in (folder / "README.md").read_text()
    paths = sorted((pictures / "above").iterdir())[:3]
    found = []
    for program in (False, True):
        model = load_exported(folder, program=program)
        assert model.format == form
        found.append([each.probabilities for each in model.predict_files(paths)])  # type: ignore[union-attr]
        assert model.probabilities(np.zeros((1, 1, 16, 24), np.uint8)).shape == (1, 2)
    assert np.allclose(found[0], found[1], atol=1e-4)
    assert run_command(["predict", str(folder), str(paths[0]), "--json", "--device", "cpu"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)[0]["size"] == [40, 30]
    assert "resized 1 of 1 image to 16 x 24, without what is outside of the middle" in captured.err


@SQLITE
def test_a_study_of_another_format_resumes_bit_for_bit(
    storage_url: str, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = 0

    def beat() -> None:
        nonlocal steps
        steps += 1
        heartbeat.beat()

    def stop() -> None:
        if steps >= 5:
            raise StopRequestedError

    for study in ("calm", "stopped"):
        submit(storage_url, study, pictures, **GIVEN)
    work(storage_url, "calm")
    with monkeypatch.context() as patch, pytest.raises(StopRequestedError):
        patch.setattr(hpo.training.loop, "beat", beat)
        work(storage_url, "stopped", stop)
    work(storage_url, "stopped")
    assert hashes(storage_url, "calm") == hashes(storage_url, "stopped") != [None]


@SQLITE
def test_auto_is_decided_once_and_its_reason_told(storage_url: str, pictures: Path) -> None:
    first = submit(storage_url, "s", pictures)
    assert formats(storage_url, "s") == ImageFormat(30, 40, 1)
    assert "channels: auto is 1: no image has color" in first.origin
    assert "image_size: auto is 30x40: every image has 30 x 40 pixels; an epoch of the" in first.origin
    again = submit(storage_url, "s", pictures)
    assert not again.is_new and "auto is" not in again.origin
    with pytest.raises(StudyChangedError, match=r'fixed.image_size: \(not set\) -> "64"'):
        submit(storage_url, "s", pictures, image_size="64")


@SQLITE
def test_a_study_from_before_formats_goes_on_with_its_pixels(storage_url: str, pictures: Path) -> None:
    """The migration gives it the standard format, which ``auto`` would not choose for these images."""
    submit(storage_url, "new", pictures, image_size=32, channels=3)
    before = formats(storage_url, "new")
    assert before == STANDARD
    with ResultsStore(storage_url) as store, store.engine.begin() as connection:
        fields = "json_remove(spec, '$.fixed.image_size', '$.fixed.channels')"
        connection.execute(text(f"UPDATE hpo_study SET spec = {fields}"))
    again = submit(storage_url, "new", pictures)
    assert not again.is_new and formats(storage_url, "new") == STANDARD
