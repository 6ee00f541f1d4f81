"""The contact sheet has a row of images for each class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from hpo.reporting.figures.contact_sheet import write_contact_sheet


def test_each_class_has_a_row_of_its_images(tmp_path: Path) -> None:
    red = np.zeros((3, 20, 40), np.uint8)
    red[0] = 255
    gray = np.full((1, 8, 8), 90, np.uint8)
    path = tmp_path / "sheet.png"
    samples = {"red things": [red] * 3, "a class with a name that is much too long": [gray], "none": []}
    assert write_contact_sheet(samples, {"red things": 3}, path) == 0
    with Image.open(path) as image:
        sheet = np.asarray(image)
    reds = (sheet == [255, 0, 0]).all(2)
    grays = (sheet == 90).all(2)
    assert reds.sum() == 3 * 72 * 36 and grays.sum() == 72 * 72
    assert np.flatnonzero(reds.any(1)).max() < np.flatnonzero(grays.any(1)).min()


def test_classes_that_do_not_fit_are_counted(tmp_path: Path) -> None:
    samples = {str(number): [np.zeros((1, 8, 8), np.uint8)] for number in range(34)}
    assert write_contact_sheet(samples, {}, tmp_path / "sheet.png") == 4
