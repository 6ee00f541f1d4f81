"""Images in arrays and in .npz files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpo.config.division import DivisionRules
from hpo.config.image_format import ImageFormat
from hpo.data.arrays import ImageData, arrays_source, as_bytes, memory_source
from hpo.data.cache import Source
from hpo.errors import DataError

LABELS = np.arange(40) % 2
_random = np.random.default_rng(0)
IMAGES = _random.integers(0, 256, (40, 20, 24, 3), np.uint8)


def decoded(source: Source) -> list[tuple[np.ndarray, list[int]]]:
    both = source.decode()
    return [(np.concatenate(list(each.chunks)), each.labels.tolist()) for each in (both.train, both.test)]


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (IMAGES, IMAGES.transpose(0, 3, 1, 2)),
        (IMAGES.transpose(0, 3, 1, 2), IMAGES.transpose(0, 3, 1, 2)),
        (IMAGES[..., 0], IMAGES[:, None, :, :, 0]),
        (IMAGES[..., :1], IMAGES[:, None, :, :, 0]),
        (IMAGES / 255, IMAGES.transpose(0, 3, 1, 2)),
        ((IMAGES / 255).astype(np.float32), IMAGES.transpose(0, 3, 1, 2)),
        (IMAGES.astype(np.int64), IMAGES.transpose(0, 3, 1, 2)),
        (IMAGES > 99, (IMAGES > 99).transpose(0, 3, 1, 2) * 255),
        (IMAGES[:, :3, :4, 0], IMAGES[:, None, :3, :4, 0]),
    ],
    ids=["nhwc", "nchw", "nhw", "nhw1", "float64", "float32", "int64", "bool", "small"],
)
def test_shapes_and_types_mean_the_same_bytes(images: np.ndarray, expected: np.ndarray) -> None:
    found = as_bytes(images)
    assert found.dtype == np.uint8 and np.array_equal(found, expected)


def test_only_opacity_is_a_picture_of_light_drawings() -> None:
    """As of image files: a drawing of one light color would be lost on white."""
    opacity = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    images = np.stack(
        [np.stack([np.full((8, 8), color, np.uint8)] * 3 + [opacity]) for color in (250, 0, 90)]
    )
    light, black, gray = as_bytes(images)
    assert np.array_equal(light, np.stack([255 - opacity] * 3)) and np.array_equal(black, light)
    assert gray[0, 0, 0] == 255 and gray[0, 7, 7] == 92


def test_opacity_is_laid_over_white() -> None:
    row = [[200, 100, 0, 255], [200, 100, 0, 0], [200, 100, 0, 51]]
    image = np.array([[row] * 8], np.uint8)
    assert as_bytes(image)[0, :, 0].T.tolist() == [[200, 100, 0], [255, 255, 255], [244, 224, 204]]


@pytest.mark.parametrize(
    ("images", "problem"),
    [
        (IMAGES[0, 0], r"images have shape \(24, 3\): use \(N, H, W\)"),
        (np.zeros((4, 7, 8, 9), np.uint8), "use 1, 3 or 4 channels"),
        (np.full((2, 4, 4), 2.5), "images are float64 from 2.5 to 2.5: use floats from 0 to 1"),
        (np.full((2, 4, 4), np.nan), "images are float64 from nan to nan"),
        (np.full((2, 4, 4), 256), "images are int64 from 256 to 256: use uint8"),
        (np.full((2, 4, 4), 1j), "images are complex128"),
    ],
)
def test_what_is_not_images_is_refused(images: np.ndarray, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        as_bytes(images)


def test_without_test_images_a_share_of_each_class_is_held_out() -> None:
    source = memory_source(ImageData(IMAGES, LABELS), "here", "s", name="own")
    (train, trained), (test, tested) = decoded(source)
    assert (len(train), len(test)) == (36, 4) and sorted(tested) == [0, 0, 1, 1]
    assert "36 train, 4 test; no test images, so 10% of each class was held out" in source.origin
    both = np.concatenate([train, test])
    assert {each.tobytes() for each in both} == {each.tobytes() for each in as_bytes(IMAGES)}
    assert source.format == ImageFormat(20, 24, 3) and source.classes == ("0", "1") and trained.count(0) == 18


@pytest.mark.parametrize(
    ("labels", "classes", "names", "first"),
    [
        (LABELS + 7, (), ("7", "8"), 0),
        (np.where(LABELS, "cat", "ant"), (), ("ant", "cat"), 0),
        (np.where(LABELS, "cat", "ant"), ("cat", "ant", "bee"), ("cat", "ant", "bee"), 1),
        (LABELS.reshape(-1, 1), ("no", "yes"), ("no", "yes"), 0),
        (LABELS.astype(float), (), ("0", "1"), 0),
        (LABELS == 1, (), ("0", "1"), 0),
    ],
)
def test_labels_become_numbers(labels: Any, classes: Any, names: Any, first: int) -> None:
    data = ImageData(IMAGES, labels, IMAGES, labels, classes)
    source = memory_source(data, "here", "s", name="own")
    assert source.classes == names
    assert source.decode().train.labels[:2].tolist() == [first, 1 - first]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (ImageData(IMAGES, LABELS[:9]), "there are 40 training images and 9 labels"),
        (ImageData(IMAGES, np.stack([LABELS, LABELS], 1)), r"have shape \(40, 2\)"),
        (ImageData(IMAGES, LABELS * 0), "every label is 0; a classifier needs two classes"),
        (ImageData([[1], [1, 2]], LABELS), "list is not an array: "),
        (ImageData(7, LABELS), "the images for training are a single value"),
        (ImageData(IMAGES[:, :0], LABELS), "they have no pixels"),
        (ImageData(IMAGES, LABELS * 1e300), "use whole numbers from 0, or names"),
        (ImageData(IMAGES, LABELS, classes=("a", "a")), "2 classes are called 'a': give each its own name"),
        (ImageData(IMAGES, LABELS, classes=("a", " ")), "a class has an empty name"),
        (ImageData(IMAGES, LABELS + 0.5), "labels are float64: use whole numbers or names"),
        (ImageData(IMAGES, LABELS, IMAGES), "there are no labels for test"),
        (ImageData(IMAGES[:0], LABELS[:0]), "there are no images for training"),
        (
            ImageData(IMAGES, LABELS + 1, classes=("a", "b")),
            "labels are from 1 to 2, and classes names 2: 0 to 1",
        ),
        (ImageData(IMAGES, np.where(LABELS, "x", "a"), classes=("a", "b")), "the label 'x' is not one of"),
    ],
)
def test_data_that_do_not_fit_are_refused(data: ImageData, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        memory_source(data, "here", "s", name="own")


def test_an_npz_file_is_read_by_the_usual_names(tmp_path: Path) -> None:
    path = tmp_path / "images.npz"
    np.savez(
        path,
        x_train=IMAGES,
        y_train=LABELS,
        x_test=IMAGES[:4],
        y_test=LABELS[:4],
        x_val=IMAGES[:2],
        y_val=[1, 0],
    )
    source = arrays_source(path)
    (train, labels), (test, tested) = decoded(source)
    assert np.array_equal(train[:-2], as_bytes(IMAGES)) and np.array_equal(train[-2:], as_bytes(IMAGES[:2]))
    assert labels[-2:] == [1, 0] and source.division.given == 2 and source.warnings == ()
    assert tested == [0, 1, 0, 1] and len(test) == 4
    unused = arrays_source(path, DivisionRules("drawn"))
    assert len(decoded(unused)[0][0]) == len(IMAGES) and unused.division.given == 0
    assert unused.signature != source.signature and "are not used" in unused.warnings[0]


def test_arrays_of_an_npz_file_are_groups_and_times(tmp_path: Path) -> None:
    path = tmp_path / "images.npz"
    patient = np.arange(40) // 4
    np.savez(path, x=IMAGES, y=LABELS, patient=patient, day=np.arange(40.0), short=patient[:5])
    plain, grouped = arrays_source(path), arrays_source(path, DivisionRules(groups="patient"))
    blocks = grouped.division.blocks
    assert blocks is not None and len(blocks.numbers) == 36 and "whole groups, 10% of" in grouped.origin
    assert plain.division.blocks is None and plain.signature != grouped.signature
    (_, _), (latest, _) = decoded(arrays_source(path, DivisionRules(order="day")))
    assert np.array_equal(latest, as_bytes(IMAGES[36:]))
    with pytest.raises(DataError, match="groups: there is no array 'p', only x, y, patient, day, short"):
        arrays_source(path, DivisionRules(groups="p"))
    with pytest.raises(DataError, match=r"groups has shape \(5,\), and there are 40 training images"):
        arrays_source(path, DivisionRules(groups="short"))


def test_what_is_no_npz_file_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "images.npz"
    with pytest.raises(DataError, match="there is no file"):
        arrays_source(path)
    path.write_bytes(b"PK\x03\x04 not a zip")
    with pytest.raises(DataError, match=r"is not an \.npz file"):
        arrays_source(path)
    np.savez(path, a=IMAGES)
    with pytest.raises(DataError, match="has no train images: it has a; use one of train_images, x_train"):
        arrays_source(path)
    np.savez(path, images=np.array([{}, {}], dtype=object), labels=LABELS[:2])
    with pytest.raises(DataError, match=r"is not an \.npz file without Python objects"):
        arrays_source(path)
    np.save(tmp_path / "one.npy", IMAGES)
    with pytest.raises(DataError, match="holds a single array"):
        arrays_source(tmp_path / "one.npy")


def test_dark_whole_numbers_are_told_and_late_values_out_of_range_refused() -> None:
    dark = memory_source(ImageData(IMAGES // 16, LABELS), "here", "s", name="own")
    assert dark.warnings == ("the largest value of the images is 15, of 255: scale them if it means white",)
    late = IMAGES / 255
    late[-1, -1, -1, -1] = 1.5
    with pytest.raises(DataError, match=r"from 0 to 1\.5: use floats from 0 to 1"):
        memory_source(ImageData(late, LABELS), "here", "s", name="own")
