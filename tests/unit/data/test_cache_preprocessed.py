"""Preprocessed images on disk: made once, mapped by all, made again when damaged, and never too many."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hpo.data.cache import KEPT, Halves, preprocessed_images

IMAGES = np.arange(7 * 3 * 4 * 4, dtype=np.float16).reshape(7, 3, 4, 4)


class Maker:
    """Yields the images in two parts, and counts how often it is asked."""

    calls = 0

    def __call__(self) -> Iterator[Halves]:
        self.calls += 1
        yield IMAGES[:5]
        yield IMAGES[5:]


@pytest.fixture
def make() -> Maker:
    return Maker()


def _get(name: str, make: Maker, cache: Path) -> Halves:
    return preprocessed_images(name, IMAGES.shape, make, cache)


def _file(cache: Path) -> Path:
    return cache / "preprocessed" / "a" / "images.npy"


def test_they_are_made_once_and_mapped_read_only(make: Maker, tmp_path: Path) -> None:
    first, again = _get("a", make, tmp_path), _get("a", make, tmp_path)
    assert make.calls == 1
    for images in (first, again):
        assert isinstance(images, np.memmap)
        assert not images.flags.writeable
        assert np.array_equal(images, IMAGES)


@pytest.mark.parametrize("damage", ["truncated", "changed", "no mark", "bad mark"])
def test_damaged_ones_are_made_again(
    damage: str, make: Maker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _get("a", make, tmp_path)
    path = _file(tmp_path)
    content = path.read_bytes()
    if damage == "truncated":
        path.write_bytes(content[:-1])
    elif damage == "changed":
        path.write_bytes(content[:-1] + b"\x77")
    elif damage == "no mark":  # killed between the two files
        path.with_suffix(".json").unlink()
    else:
        path.with_suffix(".json").write_text("{}")
    assert np.array_equal(_get("a", make, tmp_path), IMAGES)
    assert make.calls == 2
    assert ("damaged" in caplog.text) == (damage != "no mark")
    _get("a", make, tmp_path)
    assert make.calls == 2


def test_what_a_killed_maker_left_is_removed(make: Maker, tmp_path: Path) -> None:
    leftover = _file(tmp_path).with_name(".images.npy.0123456789ab.tmp")
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes(b"half")
    _get("a", make, tmp_path)
    assert not leftover.exists()


def test_the_last_used_are_kept_and_a_removed_one_stays_with_its_user(make: Maker, tmp_path: Path) -> None:
    oldest = _get("0", make, tmp_path)
    for number in range(1, KEPT):
        _get(str(number), make, tmp_path)
    for number in range(KEPT):
        os.utime(tmp_path / "preprocessed" / str(number) / "images.npy", (number, number))
    _get("1", make, tmp_path)  # used now, so it is no longer the second to go
    for number in (KEPT, KEPT + 1):
        _get(str(number), make, tmp_path)
    names = {path.name for path in (tmp_path / "preprocessed").iterdir()}
    assert names == {each for kept in "1345" for each in (kept, f".{kept}.lock")}
    assert np.array_equal(oldest, IMAGES)


def test_without_a_place_they_are_held_in_memory(
    make: Maker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "preprocessed").write_text("a file where the folder would be")
    images = _get("a", make, tmp_path)
    assert not isinstance(images, np.memmap)
    assert np.array_equal(images, IMAGES)
    assert "keeping them in this worker's memory" in caplog.text
