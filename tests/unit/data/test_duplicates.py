"""Equal and nearly equal images are found, within splits and across them; different ones are not."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from hpo.data.duplicates import Duplicates, Pair, SeenImage, Split

COUNT = 60


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    """Blurred noise (60, 3, 32, 32): no two alike."""
    random = np.random.default_rng(0)
    small = [Image.fromarray(each) for each in random.integers(0, 256, (COUNT, 6, 6, 3), np.uint8)]
    return np.stack(
        [np.asarray(each.resize((32, 32), Image.Resampling.BICUBIC)).transpose(2, 0, 1) for each in small]
    )


def seen(count: int, split: Split = "train", label: str = "a") -> list[SeenImage]:
    return [SeenImage(split, label, str(number)) for number in range(count)]


def pairs(first: np.ndarray, second: np.ndarray, split: Split = "test", label: str = "a") -> list[Pair]:
    found = Duplicates()
    found.add(first, seen(len(first)))
    found.add(second, seen(len(second), split, label))
    return list(found.pairs())


def as_jpeg(pixels: np.ndarray) -> np.ndarray:
    packed = io.BytesIO()
    Image.fromarray(pixels.transpose(1, 2, 0)).save(packed, "JPEG", quality=40)
    return np.asarray(Image.open(packed)).transpose(2, 0, 1)


def smaller(pixels: np.ndarray) -> np.ndarray:
    image = Image.fromarray(pixels.transpose(1, 2, 0)).resize((20, 20)).resize((32, 32))
    return np.asarray(image).transpose(2, 0, 1)


def brighter(pixels: np.ndarray) -> np.ndarray:
    return (pixels * 0.9 + 10).astype(np.uint8)


def test_different_pictures_are_no_pairs(pictures: np.ndarray) -> None:
    assert pairs(pictures[:30], pictures[30:]) == []
    assert list(Duplicates().pairs()) == []


def test_copies_are_exact_and_say_where_they_are(pictures: np.ndarray) -> None:
    found = pairs(pictures, pictures[[3, 7]])
    assert [(each.first.name, each.second.name, each.exact, each.leaks) for each in found] == [
        ("3", "0", True, True),
        ("7", "1", True, True),
    ]
    (wrong,) = pairs(pictures, pictures[[3]], "train", "b")
    assert wrong.contradicts and not wrong.leaks


@pytest.mark.parametrize("change", [as_jpeg, smaller, brighter])
def test_nearly_equal_pictures_are_found_and_no_others(change: object, pictures: np.ndarray) -> None:
    changed = np.stack([change(each) for each in pictures])  # type: ignore[operator]
    found = pairs(pictures, changed)
    assert len(found) >= 0.95 * COUNT
    assert all(each.first.name == each.second.name and not each.exact and each.leaks for each in found)


def test_gray_pictures_of_other_shapes_are_compared_too(pictures: np.ndarray) -> None:
    gray = pictures[:, :1, :20, :30]
    assert len(pairs(gray, gray[:5])) == 5


def test_plain_images_are_no_duplicates() -> None:
    white = np.full((4, 3, 16, 16), 255, np.uint8)
    assert pairs(white, white) == []


def test_a_slope_of_light_does_not_make_images_alike() -> None:
    """Plates that are lit from one side, each with a thin scratch elsewhere."""
    random = np.random.default_rng(0)
    slope = np.linspace(90, 140, 32)
    plates = np.tile(slope, (60, 1, 32, 1)) + random.normal(0, 8, (60, 1, 32, 32))
    for number in range(60):
        plates[number, 0, number % 30, 4:20] = 70
    images = plates.clip(0, 255).astype(np.uint8)
    assert pairs(images[:30], images[30:]) == []


def test_images_that_are_alike_by_nature_are_not_listed_by_the_thousand() -> None:
    random = np.random.default_rng(0)
    base = random.integers(0, 256, (1, 1, 8, 8))
    series = (base + random.integers(-2, 3, (200, 1, 8, 8))).clip(0, 255).astype(np.uint8)
    assert len(pairs(series[:100], series[100:])) < 100
