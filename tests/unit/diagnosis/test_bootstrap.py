"""The bootstrap interval against the known spread of a recall."""

from __future__ import annotations

import math

import pytest

from hpo.diagnosis.bootstrap import bootstrap_interval, counts_of
from hpo.records import class_results

CONFUSION = [[450, 50], [10, 40]]
CLASSES = class_results(CONFUSION, ("intact", "cracked"), 3)


def test_counts_of_is_the_matrix_that_the_rows_came_from() -> None:
    assert counts_of(CLASSES).tolist() == CONFUSION


def test_bootstrap_interval_of_balanced_accuracy_has_the_spread_of_its_recalls() -> None:
    spread = math.sqrt(0.9 * 0.1 / 500 + 0.8 * 0.2 / 50) / 2
    low, high = bootstrap_interval("val_balanced_accuracy", CLASSES) or (0.0, 0.0)
    assert (low, high) == pytest.approx((0.85 - 1.96 * spread, 0.85 + 1.96 * spread), abs=0.01)


def test_bootstrap_interval_class_without_images_stays_without() -> None:
    classes = class_results([[30, 0, 2], [1, 9, 0], [0, 0, 0]], ("a", "b", "c"), 1)
    low, high = bootstrap_interval("val_macro_f1", classes) or (0.0, 0.0)
    assert 0.3 < low < high <= 1


@pytest.mark.parametrize("metric", ["val_auc", "val_loss", "my.metrics:f"])
def test_bootstrap_interval_metric_that_does_not_follow_from_counts_has_none(metric: str) -> None:
    assert bootstrap_interval(metric, CLASSES) is None


def test_bootstrap_interval_without_predictions_is_none() -> None:
    assert bootstrap_interval("val_balanced_accuracy", ()) is None
