"""The drawn data set: areas against geometry, symmetry, and the same bytes everywhere."""

from __future__ import annotations

import hashlib
import math
import subprocess
import sys

import numpy as np
import pytest

from hpo.data.synthetic import CLASSES, SHAPES, TEXTURES, Floats, draw_class, make_synthetic
from hpo.rng import Key


def grid(half_width: float, step: float) -> tuple[Floats, Floats]:
    line = np.arange(-half_width + step / 2, half_width, step, dtype=np.float32)
    u, v = np.meshgrid(line, line)
    return u, v


def lens_area(r: float, s: float, d: float) -> float:
    """Common area of two discs of radii r and s whose centers are d apart."""
    a = (d * d + r * r - s * s) / (2 * d * r)
    b = (d * d + s * s - r * r) / (2 * d * s)
    root = math.sqrt((-d + r + s) * (d + r - s) * (d - r + s) * (d + r + s))
    return r * r * math.acos(a) + s * s * math.acos(b) - root / 2


@pytest.mark.parametrize(
    ("name", "area"),
    [
        ("disc", math.pi),
        ("ring", math.pi * (1 - 0.5**2)),
        ("square", 1.6**2),
        ("triangle", 3 * math.sqrt(3) * 0.55**2),
        ("cross", 2 * (2 * 0.64) - 0.64**2),
        ("crescent", math.pi - lens_area(1, 0.8, 0.55)),
    ],
)
def test_outlines_have_the_area_of_their_shape(name: str, area: float) -> None:
    u, v = grid(1.5, 0.005)
    assert (SHAPES[name](u, v) < 0).sum() * 0.005**2 == pytest.approx(area, rel=3e-3)


def test_star_has_five_equal_points() -> None:
    angle = np.linspace(0, 2 * np.pi, 500, endpoint=False, dtype=np.float32)
    around = SHAPES["star"](0.75 * np.sin(angle), 0.75 * np.cos(angle))
    np.testing.assert_allclose(around, np.roll(around, 100), atol=2e-6)
    inside = around < 0
    assert (inside & ~np.roll(inside, 1)).sum() == 5


@pytest.mark.parametrize(("name", "share"), [("stripes", 0.5), ("checks", 0.5), ("dots", math.pi * 0.3**2)])
def test_textures_cover_their_share(name: str, share: float) -> None:
    u, v = grid(3, 0.005)
    assert (TEXTURES[name](u, v) < 0).mean() == pytest.approx(share, abs=2e-3)


@pytest.mark.parametrize("name", CLASSES)
def test_a_mirrored_class_is_the_same_class(name: str) -> None:
    u, v = grid(1.5, 0.05)
    drawing = {**SHAPES, **TEXTURES}[name]
    np.testing.assert_allclose(
        drawing(u, v), drawing(u, -v) if name == "crescent" else drawing(-u, v), atol=1e-6
    )


def test_splits_are_balanced_and_shuffled() -> None:
    train, train_labels, test, test_labels = make_synthetic(3, 7, 3)
    assert train.shape == (70, 3, 32, 32) and test.shape == (30, 3, 32, 32)
    assert train.dtype == np.uint8 and train_labels.dtype == np.int64
    assert np.bincount(train_labels).tolist() == [7] * 10
    assert np.bincount(test_labels).tolist() == [3] * 10
    assert (np.diff(train_labels) < 0).any()
    assert len({image.tobytes() for image in np.concatenate([train, test])}) == 100


def test_labels_name_what_was_drawn() -> None:
    train, labels, _, _ = make_synthetic(3, 7, 3)
    rings = draw_class("ring", 10, Key(3) / "synthetic" / "ring")[:7]
    found = train[labels == CLASSES.index("ring")]
    assert {image.tobytes() for image in found} == {image.tobytes() for image in rings}


def test_another_seed_gives_other_pictures() -> None:
    assert not np.array_equal(draw_class("disc", 2, Key(0)), draw_class("disc", 2, Key(1)))


def test_the_same_bytes_as_when_the_version_was_made() -> None:
    """If this fails on purpose, raise ``VERSION``: caches and studies of the old pictures are other data."""
    images = make_synthetic(0, 4, 2)[0]
    assert hashlib.sha256(images.tobytes()).hexdigest()[:16] == "f39557845f9f8be4"


def test_the_same_bytes_in_another_process() -> None:
    code = (
        "import hashlib; from hpo.data.synthetic import make_synthetic;"
        "print(hashlib.sha256(make_synthetic(0, 4, 2)[0].tobytes()).hexdigest())"
    )
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert other == hashlib.sha256(make_synthetic(0, 4, 2)[0].tobytes()).hexdigest()
