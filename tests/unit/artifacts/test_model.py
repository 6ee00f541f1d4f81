from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from hpo.artifacts.model import ExportedModel, Prediction, Unreadable
from hpo.config.configuration import Configuration
from hpo.errors import DataError

LABELS = ("dark", "grey", "bright")


def brightness(images: Tensor) -> Tensor:
    """Logits that name the third of the scale in which the mean of the pixels lies."""
    middles = torch.tensor([42.0, 128.0, 213.0])
    return -(images.float().mean((1, 2, 3))[:, None] - middles).abs() / 40


MODEL = ExportedModel(brightness, LABELS, Configuration(), torch.device("cpu"))


def save(path: Path, level: int, size: tuple[int, int] = (32, 32)) -> Path:
    Image.new("RGB", size, (level, level, level)).save(path)
    return path


def test_files_are_read_and_named_best_first(tmp_path: Path) -> None:
    paths = [save(tmp_path / "a.png", 250), save(tmp_path / "b.png", 5, (64, 20))]
    first, second = MODEL.predict_files(paths, top=2)
    assert isinstance(first, Prediction) and isinstance(second, Prediction)
    assert (first.path, first.labels, first.size) == (paths[0], ("bright", "grey"), (32, 32))
    assert (second.labels, second.size) == (("dark", "grey"), (64, 20))
    logits = -np.abs(250 - np.array([42.0, 128.0, 213.0])) / 40
    shares = np.exp(logits) / np.exp(logits).sum()
    assert first.probabilities == pytest.approx(sorted(shares, reverse=True)[:2], rel=1e-5)


@pytest.mark.parametrize("batch", [1, 2, 3, 100])
def test_batches_change_nothing_and_bad_files_keep_their_place(tmp_path: Path, batch: int) -> None:
    paths = [save(tmp_path / f"{i}.png", 50 * i) for i in range(6)]
    paths[2].write_text("no image")
    paths[4].write_bytes(b"")
    paths.append(tmp_path / "lost.png")
    found = list(MODEL.predict_files(paths, batch=batch))
    assert [each.path for each in found] == paths
    bad = {each.path.name: each.reason for each in found if isinstance(each, Unreadable)}
    assert bad == {
        "2.png": "not an image, or an unknown format",
        "4.png": "the file is empty",
        "lost.png": "No such file or directory",
    }
    labels = [each.labels[0] for each in found if isinstance(each, Prediction)]
    assert labels == ["dark", "dark", "grey", "bright"]


def test_more_labels_than_there_are_cannot_be_shown(tmp_path: Path) -> None:
    (only,) = MODEL.predict_files([save(tmp_path / "a.png", 0)], top=9)
    assert isinstance(only, Prediction)
    assert len(only.labels) == 3 and sum(only.probabilities) == pytest.approx(1)


def test_tensors_and_arrays_are_the_same(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 32, 32), np.uint8)
    assert torch.equal(MODEL.probabilities(images), MODEL.probabilities(torch.from_numpy(images), batch=2))
    assert MODEL.probabilities(images[:0]).shape == (0, 3)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (torch.zeros(2, 3, 32, 32), "torch.float32"),
        (torch.zeros(2, 3, 28, 28, dtype=torch.uint8), r"\(2, 3, 28, 28\)"),
        (torch.zeros(32, 32, 3, dtype=torch.uint8), r"\(32, 32, 3\)"),
    ],
)
def test_other_pixels_are_refused(images: Tensor, said: str) -> None:
    with pytest.raises(DataError, match=rf"{said}.*expected torch.uint8 and \(N, 3, 32, 32\)"):
        MODEL.probabilities(images)
