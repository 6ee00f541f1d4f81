"""Which trials of a study learned: against the most frequent class of their validation images."""

from __future__ import annotations

from typing import Any

import pytest

SPACE = "\n  lr: {log: [1.0e-4, 1.0]}"
FRACTIONS = "\n  val_fraction: {choice: [0.1, 0.5]}"


def failed(make_study: Any, value: float, **data: Any) -> list[bool]:
    results = make_study(lambda values: value, trials=3, **{"space": SPACE, **data})
    return [results.failed(trial) for trial in results.trials]


@pytest.mark.parametrize(("value", "is_failed"), [(0.9, True), (0.95, True), (0.99, False)])
def test_failed_unequal_classes_at_the_share_of_the_largest(
    make_study: Any, value: float, is_failed: bool
) -> None:
    """500 validation images, 475 of one class."""
    counts = {"classes": 2, "train_images": 5000, "class_counts": (4750, 250)}
    assert failed(make_study, value, **counts) == [is_failed] * 3


@pytest.mark.parametrize(("value", "is_failed"), [(0.5, True), (11 / 12, False), (1.0, False)])
def test_failed_on_few_images_is_at_most_guessing(make_study: Any, value: float, is_failed: bool) -> None:
    assert failed(make_study, value, classes=2, train_images=120, class_counts=(60, 60)) == [is_failed] * 3


def test_failed_counts_the_images_of_each_trial(make_study: Any) -> None:
    """0.16 is clear on 500 images of ten classes, not on 100."""
    results = make_study(lambda values: 0.16, trials=8, space=FRACTIONS, train_images=1000)
    found = {trial.values["val_fraction"]: results.failed(trial) for trial in results.trials}
    assert found == {0.1: True, 0.5: False}


def test_failed_of_an_older_database_takes_equal_classes(make_study: Any) -> None:
    assert failed(make_study, 0.14, train_images=10_000) == [True] * 3
    assert failed(make_study, 0.142, train_images=10_000) == [False] * 3


def test_failed_without_a_known_data_set_is_not_claimed(make_study: Any) -> None:
    assert failed(make_study, 0.1, classes=None, train_images=None) == [False] * 3
