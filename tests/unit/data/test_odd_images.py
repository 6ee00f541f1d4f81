"""A folder of damaged and odd files: each is read as a viewer shows it, or named with what to do."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pytest

from hpo.config.image_format import ImageFormat
from hpo.data.folder import folder_source, list_images
from hpo.data.images import DecodedImage, decode_or_reason
from hpo.data.walk import image_paths
from hpo.errors import DataError
from tests.helpers.odd_images import CLASSES, HEIGHT, WIDTH, Odd, write_odd_images

FORM = ImageFormat(HEIGHT, WIDTH, 3)


@pytest.fixture(scope="module")
def odd_files(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Odd]:
    return write_odd_images(tmp_path_factory.mktemp("odd") / "images")


def root_of(files: dict[Path, Odd]) -> Path:
    return next(iter(files)).parent.parent


def wrong(odd: Odd, found: DecodedImage | str) -> str:
    """Return what is wrong with what was read of a file; empty if it is right."""
    if isinstance(found, str):
        return "" if odd.shows is None and re.search(odd.reason, found) else f"refused: {found}"
    if odd.shows is None:
        return f"used, not refused: {odd.reason}"
    difference = np.abs(found.pixels.transpose(1, 2, 0).astype(int) - odd.shows).mean()
    return "" if difference <= odd.tolerance else f"differs by {difference:.1f}"


def test_each_file_is_read_as_a_viewer_shows_it_or_named(odd_files: dict[Path, Odd]) -> None:
    assert len(odd_files) >= 200
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as ``decode_images`` does
        found = {path.name: wrong(odd, decode_or_reason(path, FORM)) for path, odd in odd_files.items()}
    assert {name: text for name, text in found.items() if text} == {}


def test_training_and_prediction_list_all_of_them(odd_files: dict[Path, Odd]) -> None:
    root = root_of(odd_files)
    listing = list_images(root)
    assert listing.classes == tuple(sorted(CLASSES))
    assert {Path(each.path) for each in (*listing.train, *listing.test)} == odd_files.keys()
    assert set(image_paths([str(root)]).paths) == odd_files.keys()


def test_a_study_names_those_that_cannot_be_used(odd_files: dict[Path, Odd]) -> None:
    count = sum(odd.shows is None for odd in odd_files.values())
    with pytest.raises(DataError) as caught:
        list(folder_source(root_of(odd_files), FORM).decode().train.chunks)
    assert str(caught.value).startswith(f"{count} images cannot be used; repair or remove them:\n  ")
    assert str(caught.value).endswith(f"\n  and {count - 5} more: hpo data --json lists all")
