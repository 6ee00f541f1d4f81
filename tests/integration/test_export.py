"""`hpo export` and `hpo predict`: the folder gives the accuracy that was recorded, on both of its paths."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sqlalchemy import text

import hpo
from hpo.artifacts import store as kept
from hpo.artifacts.bundle import MANIFEST, METRICS, PROGRAM, WEIGHTS
from hpo.cli.app import run_command
from hpo.config.image_format import STANDARD
from hpo.config.study import StudySpec
from hpo.data.datasets import Dataset, load_dataset
from hpo.data.split import split, split_key
from hpo.queries.trial import trial_detail
from hpo.rng import Key
from hpo.settings import settings
from hpo.storage.store import ResultsStore
from hpo.storage.studies import find_registered
from hpo.workers.loop import serve
from hpo.workers.messages import WorkOrder
from hpo.workers.submit import submit_study

Capture = pytest.CaptureFixture[str]
FIXED = {
    "dataset": "folder",
    "val_fraction": 0.3,
    "width": 4,
    "depth": 2,
    "epochs": 3,
    "batch_size": 10,
    "precision": "fp32",
    "augmentation": "none",
    "eval_views": "6",
}
RATES = {"lr": {"choice": [0.05, 1e-4, 1e6]}}
KEPT, NOT_KEPT, EXPLODED = 0, 1, 2


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """80 noisy images of each of three colors, which a small network tells apart quickly, but not all."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for channel, name in enumerate(("blue", "green", "red")):
        (folder / name).mkdir()
        for number in range(80):
            pixels = random.normal(110, 60, (32, 32, 3)) + random.normal(0, 12, (1, 1, 3))
            pixels[:, :, 2 - channel] += 14
            image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
            image.save(folder / name / f"{number:02d}.png")
    return folder


@pytest.fixture(scope="module")
def url(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A study with two sound trials, of which the better is kept, and one that explodes at once.

    And the study `staged`, whose winner is confirmed in folds and measured on the test images.
    """
    home = tmp_path_factory.getbasetemp() / "hpo"
    with pytest.MonkeyPatch.context() as patch:
        for name in ("data", "cache", "artifacts"):
            patch.setenv(f"HPO_{name.upper()}", str(home / name))
        settings.cache_clear()
        url = f"sqlite:///{tmp_path_factory.mktemp('export') / 'hpo.db'}"
        alike = {"keep_best": 1, "fixed": {**FIXED, "data_root": str(pictures)}}
        train(url, {"study": "s", "trials": 3, "sampler": "grid", "space": RATES} | alike)
        stages = [
            {"name": "search", "trials": 2},
            {"name": "again", "confirm": {"top": 1, "seeds": 1, "folds": 2}},
        ]
        space = {"lr": {"log": [0.03, 0.06]}}
        train(url, {"study": "staged", "trials": 5, "stages": stages, "space": space} | alike)
        yield url
    settings.cache_clear()


def train(url: str, document: dict[str, Any]) -> None:
    spec = StudySpec.model_validate(document)
    with ResultsStore(url) as store:
        submit_study(store, spec)
    serve(WorkOrder(url, (spec.study,), "cpu", 2), lambda event: None, lambda: None, lambda ready: None)


@pytest.fixture(scope="module")
def exported(url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kept trial's folder."""
    folder = tmp_path_factory.mktemp("exported") / "winner"
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.getbasetemp() / "hpo"
        for name in ("data", "cache", "artifacts"):
            patch.setenv(f"HPO_{name.upper()}", str(home / name))
        settings.cache_clear()
        assert run_command(["export", "s", "-o", str(folder), "--storage", url]) == 0
    return folder


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(exported, tmp_path / "copy"))


def recorded(url: str, number: int, study: str = "s") -> float:
    with ResultsStore(url) as store, store.engine.connect() as connection:
        sql = text("SELECT value FROM results WHERE study = :study AND number = :number")
        return float(connection.execute(sql, {"study": study, "number": number}).scalar_one())


def validation(dataset: Dataset) -> tuple[Any, list[str]]:
    rows = split(dataset.train_labels, dataset.classes, 0.3, None, split_key(Key(0))).val
    return dataset.train_images[rows], [dataset.classes[i] for i in dataset.train_labels[rows]]


def predict(capsys: Capture, *arguments: str, code: int = 0) -> tuple[str, str]:
    capsys.readouterr()
    assert run_command(["predict", *arguments]) == code
    captured = capsys.readouterr()
    return captured.out, captured.err


@pytest.mark.parametrize("path", [[], ["--program"]])
def test_the_folder_gives_the_recorded_accuracy(
    url: str, pictures: Path, exported: Path, tmp_path: Path, capsys: Capture, path: list[str]
) -> None:
    """The validation images as files, through `hpo predict`."""
    images, labels = validation(load_dataset("folder", STANDARD, root=pictures, settings=settings()))
    for number, pixels in enumerate(images):
        Image.fromarray(pixels.transpose(1, 2, 0)).save(tmp_path / f"{number:04d}.png")
    out, err = predict(capsys, str(exported), str(tmp_path), "--json", "--batch", "20", *path)
    found = json.loads(out)
    assert err == ""
    assert [Path(each["image"]).name for each in found] == [f"{i:04d}.png" for i in range(len(labels))]
    right = sum(each["label"] == label for each, label in zip(found, labels, strict=True))
    assert right / len(labels) == pytest.approx(recorded(url, KEPT), abs=1e-9)
    assert 0.4 * len(labels) < right < len(labels)  # it has learned something, and not everything


def test_the_program_needs_nothing_of_hpo(pictures: Path, exported: Path) -> None:
    images, _ = validation(load_dataset("folder", STANDARD, root=pictures, settings=settings()))
    program = torch.export.load(exported / PROGRAM).module()
    with torch.no_grad():
        alone = program(torch.from_numpy(images[:9])).softmax(1)
    assert torch.allclose(alone, hpo.load_exported(exported).probabilities(images[:9]), atol=1e-6)


def test_metrics_and_card_report_what_was_measured(url: str, exported: Path) -> None:
    metrics = json.loads((exported / METRICS).read_text())
    value = recorded(url, KEPT)
    assert metrics["val_accuracy"] == pytest.approx(value, abs=1e-6)
    assert metrics["val_accuracy_of_program"] == metrics["val_accuracy"]
    assert metrics["val_accuracy_recorded"] == value
    with ResultsStore(url) as store:
        detail = trial_detail(store.engine, "s", KEPT)
    assert detail.best_epoch is not None
    over_views = detail.curve[detail.best_epoch - 1].metrics["val_6_views_accuracy"]
    assert metrics["val_6_views_accuracy"] == pytest.approx(over_views, abs=1e-6)
    assert not any(name.startswith("test") for name in metrics)
    card = (exported / "README.md").read_text()
    assert f"| validation split | {metrics['val_images']} | {value:.4f} |" in card
    assert f"over 6 mirrored and shifted copies of each image: {over_views:.4f}" in card
    assert "This number also chose the trial from 3" in card
    assert "It was not measured on test images." in card
    assert "| lr | 0.05 |" in card
    assert all(name in card for name in hpo.load_exported(exported).labels)


def export(url: str, *arguments: str, code: int, capsys: Capture, study: str = "s") -> tuple[str, str]:
    capsys.readouterr()
    assert run_command(["export", study, "--storage", url, *arguments]) == code
    captured = capsys.readouterr()
    return captured.out, captured.err


def test_the_winner_is_the_network_that_was_measured_on_the_test_images(
    url: str, pictures: Path, tmp_path: Path, capsys: Capture
) -> None:
    out, _ = export(url, "-o", str(tmp_path / "x"), "--json", code=0, capsys=capsys, study="staged")
    found = json.loads(out)
    dataset = load_dataset("folder", STANDARD, root=pictures, settings=settings())
    assert (found["trial"], found["measured_on"]) == (4, "test")
    assert found["retrained"] is False, "its weights are kept, though it does not rank"
    assert found["measured"]["images"] == len(dataset.test_labels)
    assert found["measured"]["accuracy"] == pytest.approx(recorded(url, 4, "staged"), abs=1e-6)
    metrics = json.loads((tmp_path / "x" / METRICS).read_text())
    assert metrics["test_accuracy"] == metrics["test_accuracy_of_program"] == found["program_accuracy"]
    card = (tmp_path / "x" / "README.md").read_text()
    assert f"| test split | {len(dataset.test_labels)} |" in card and "without these images" in card
    labels = len(dataset.train_labels)
    assert f"- training: {labels} images of its training split" in card


@pytest.mark.parametrize("number", [2, 3])
def test_a_fold_is_measured_on_its_own_images(url: str, tmp_path: Path, capsys: Capture, number: int) -> None:
    place = ["--trial", str(number), "-o", str(tmp_path / "x")]
    out, _ = export(url, *place, "--retrain", "--json", code=0, capsys=capsys, study="staged")
    measured = json.loads(out)["measured"]
    assert measured["accuracy"] == pytest.approx(recorded(url, number, "staged"), abs=1e-6)


def test_weights_that_were_not_kept_are_trained_again(url: str, tmp_path: Path, capsys: Capture) -> None:
    place = ["--trial", str(NOT_KEPT), "-o", str(tmp_path / "x")]
    _, err = export(url, *place, code=2, capsys=capsys)
    assert "the weights of trial 1 of s were not kept: add --retrain" in err
    out, _ = export(url, *place, "--retrain", "--json", code=0, capsys=capsys)
    found = json.loads(out)
    assert found["retrained"] is True
    assert found["measured"]["accuracy"] == pytest.approx(recorded(url, NOT_KEPT), abs=1e-6)
    card = (tmp_path / "x" / "README.md").read_text()
    assert "it was trained again for this folder, to the same curve" in card
    assert "best of 3 trials" not in card


def test_a_trial_that_comes_out_otherwise_is_not_exported(url: str, tmp_path: Path, capsys: Capture) -> None:
    sql = "UPDATE hpo_epoch SET val_loss = val_loss {} 1 WHERE epoch = 2"
    with ResultsStore(url) as store, store.engine.begin() as connection:
        connection.execute(text(sql.format("+")))
    place = tmp_path / "x"
    _, err = export(url, "--trial", str(NOT_KEPT), "-o", str(place), "--retrain", code=1, capsys=capsys)
    with ResultsStore(url) as store, store.engine.begin() as connection:
        connection.execute(text(sql.format("-")))
    assert "could not be reproduced" in err and "hpo repeat s 1" in err
    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_not_those_of_the_trial_are_not_exported(
    url: str, tmp_path: Path, capsys: Capture
) -> None:
    """The kept weights of a trial whose recorded accuracy is another."""
    sql = "UPDATE hpo_trial SET value = value {} 0.1 WHERE slot = 0"
    with ResultsStore(url) as store, store.engine.begin() as connection:
        connection.execute(text(sql.format("+")))
    _, err = export(url, "-o", str(tmp_path / "x"), code=1, capsys=capsys)
    with ResultsStore(url) as store, store.engine.begin() as connection:
        connection.execute(text(sql.format("-")))
    assert "but these weights give" in err and "nothing was exported" in err
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_exported_is_reported(url: str, tmp_path: Path, capsys: Capture) -> None:
    missing = export(url, "--trial", "7", code=2, capsys=capsys)[1]
    assert "study s has no trial 7: its trials are 0 to 2" in missing
    exploded = export(url, "--trial", str(EXPLODED), code=2, capsys=capsys)[1]
    assert "trial 2 of s is pruned: " in exploded and "only complete trials can be exported" in exploded
    (tmp_path / "there").mkdir()
    there = export(url, "-o", str(tmp_path / "there"), code=2, capsys=capsys)[1]
    assert "already exists: choose another folder with -o" in there
    nowhere = export(url, "-o", str(tmp_path / "no" / "where"), code=2, capsys=capsys)[1]
    assert f"there is no folder {tmp_path / 'no'} to create where in" in nowhere
    capsys.readouterr()
    assert run_command(["export", "t", "--storage", url]) == 2
    assert "there is no study t" in capsys.readouterr().err


def test_kept_weights_that_are_damaged_are_reported(url: str, tmp_path: Path, capsys: Capture) -> None:
    with ResultsStore(url) as store:
        study = find_registered(store.engine, "s")
    assert study is not None
    found = kept.find(study.uid, KEPT)
    assert found is not None
    weights = found / kept.WEIGHTS
    sound = weights.read_bytes()
    weights.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    _, err = export(url, "-o", str(tmp_path / "x"), code=1, capsys=capsys)
    weights.write_bytes(sound)
    assert "weights.safetensors is damaged: it does not match its checksum" in err


@pytest.mark.parametrize("name", [WEIGHTS, PROGRAM, "labels.json", "preprocessing.safetensors"])
def test_a_damaged_folder_is_refused(folder: Path, capsys: Capture, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    options = ["--program"] if name == PROGRAM else []
    _, err = predict(capsys, str(folder), str(picture(folder / "a.png")), *options, code=2)
    assert f"{folder / name} does not match its checksum in manifest.json" in err


def test_a_folder_of_another_version_is_refused(folder: Path, capsys: Capture) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps({**manifest, "format": 9, "hpo": "5.0"}))
    _, err = predict(capsys, str(folder), str(picture(folder / "a.png")), code=2)
    assert "has format 9, written by hpo 5.0" in err


def picture(path: Path, size: tuple[int, int] = (32, 32)) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_other_sizes_are_squeezed_and_reported(exported: Path, tmp_path: Path, capsys: Capture) -> None:
    picture(tmp_path / "a.png"), picture(tmp_path / "b.png", (50, 40))
    out, err = predict(capsys, str(exported), str(tmp_path / "*.png"), "--json")
    assert [each["size"] for each in json.loads(out)] == [[32, 32], [50, 40]]
    assert err == "resized 1 of 2 images to 32 x 32, whatever their aspect ratio\n"


def test_what_is_not_an_image_is_reported_after_the_others(
    exported: Path, tmp_path: Path, capsys: Capture
) -> None:
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("no image")
    (tmp_path / "note.txt").touch()
    out, err = predict(capsys, str(exported), str(tmp_path), "--csv", "--top", "2", code=2)
    header, row = csv.reader(io.StringIO(out))
    assert header == ["image", "label", "probability", "label_2", "probability_2"]
    assert row[0] == str(tmp_path / "a.png") and float(row[2]) >= float(row[4])
    assert "1 of 2 images cannot be used" in err and "b.png: not an image" in err
    assert "warning: 1 file is left out: not an image format that Pillow reads here (1 .txt)" in err
    assert f"warning: 1 image has a single color: {tmp_path}/a.png" in err
    assert predict(capsys, str(exported), str(tmp_path / "b.png"), code=2)[0].count("\n") <= 2
    assert "there is no file or folder nowhere" in predict(capsys, str(exported), "nowhere", code=2)[1]
    assert "not both" in predict(capsys, str(exported), "a", "--csv", "--json", code=2)[1]


def test_predict_shows_names_of_files_that_are_not_text(
    exported: Path, tmp_path: Path, capsys: Capture
) -> None:
    folder = os.fsencode(tmp_path)
    picture(tmp_path / "a.png").rename(os.fsdecode(folder + b"/\xe9\n.png"))
    Path(os.fsdecode(folder + b"/\xfc\n.png")).write_text("no image")
    for option in ("--json", "--csv"):
        out, err = predict(capsys, str(exported), str(tmp_path), option, code=2)
        found = json.loads(out)[0]["image"] if option == "--json" else [*csv.reader(io.StringIO(out))][1][0]
        assert found == f"{tmp_path}/\\xe9\n.png"
        assert f"{tmp_path}/\\xfc\\n.png: not an image" in err


def test_probabilities_of_all_labels_are_shown_and_add_up(
    exported: Path, tmp_path: Path, capsys: Capture
) -> None:
    out, _ = predict(capsys, str(exported), str(picture(tmp_path / "a.png")), "--json", "--top", "99")
    (found,) = json.loads(out)
    shares = [each["probability"] for each in found["top"]]
    assert len(shares) == len(hpo.load_exported(exported).labels)
    assert sum(shares) == pytest.approx(1, abs=1e-5) and shares == sorted(shares, reverse=True)
