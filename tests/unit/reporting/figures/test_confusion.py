"""The picture of predictions by class."""

from __future__ import annotations

import numpy as np
import pytest

from hpo.records import ClassResult, class_results
from hpo.reporting.figures.confusion import MOST_NAMED, confusion_picture


def _classes(count: int) -> list[ClassResult]:
    counts = np.full((count, count), 1) + np.diag(np.arange(10, 10 + count))
    return class_results(counts.tolist(), [f"class <{place}>" for place in range(count)], 4)


def _texts(count: int) -> tuple[list[str], list[str]]:
    matrix, recalls = confusion_picture(_classes(count)).axes
    return [each.get_text() for each in matrix.texts], [each.get_text() for each in recalls.texts]


def test_confusion_picture_few_classes_have_counts_and_recalls() -> None:
    assert _texts(2) == (["11", "1", "1", "12"], ["0.92  (11 of 12)", "0.92  (12 of 13)"])


def test_confusion_picture_many_classes_have_the_lowest_recalls() -> None:
    counts, recalls = _texts(100)
    assert counts == [] and len(recalls) == MOST_NAMED
    assert recalls[0] == "0.10  (11 of 110)"


@pytest.mark.parametrize("count", [1, 20, 21])
def test_confusion_picture_rows_are_in_line_with_the_bars(count: int) -> None:
    matrix, recalls = confusion_picture(_classes(count)).axes
    assert len(recalls.patches) == min(count, MOST_NAMED)
    if count <= MOST_NAMED:
        assert matrix.get_ylim() == recalls.get_ylim()


def test_confusion_picture_class_without_images_says_so() -> None:
    classes = class_results([[5, 0], [0, 0]], ("a", "b"), 1)
    recalls = confusion_picture(classes).axes[1]
    assert [each.get_text() for each in recalls.texts] == ["1.00  (5 of 5)", "no images"]
