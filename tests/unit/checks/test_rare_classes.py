"""Guessing where classes are unequal, by each metric, and checks of trainings under class weights."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from hpo.checks.chance import auc_limit, balanced_chance, constant_value
from hpo.checks.derived import chance_loss
from hpo.checks.observations import Observations
from hpo.checks.rules.label_noise import label_noise
from hpo.checks.rules.split_gap import split_gap
from tests.helpers.observed import LIMITS, epochs, seen, setup

COUNTS = (1200, 100)
SHARE = 12 / 13


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("val_accuracy", SHARE),
        ("val_balanced_accuracy", 0.5),
        ("val_macro_f1", SHARE / (1 + SHARE)),
        ("val_auc", 0.5),
        ("val_loss", -SHARE * math.log(SHARE) - math.log(1 / 13) / 13),
    ],
)
def test_constant_value_is_the_best_constant_answer(metric: str, value: float) -> None:
    assert constant_value(metric, COUNTS, 2) == pytest.approx(value)


def test_constant_value_of_another_metric_is_unknown() -> None:
    assert constant_value("my.metrics:f", COUNTS, 2) is None


def test_constant_value_class_without_images_does_not_count() -> None:
    assert constant_value("val_balanced_accuracy", (5, 0, 5), 3) == 0.5


def test_balanced_chance_is_as_exact_as_the_smallest_class_allows() -> None:
    chance = balanced_chance(COUNTS)
    assert chance is not None
    assert (chance.accuracy, chance.images) == (0.5, round(4 / (1 / 1200 + 1 / 100)))
    assert balanced_chance((), 10, 1000) == balanced_chance([100] * 10)
    assert balanced_chance((7, 0)) is None


def test_auc_limit_is_that_of_a_rank_sum() -> None:
    assert auc_limit((50, 50), 3.0) == pytest.approx(0.5 + 3 * math.sqrt(101 / (12 * 2500)))
    assert auc_limit((), 3.0) is None


def _weighted(**settings: str) -> Observations:
    """A training that tells a rare class apart, at an accuracy below the share of the other."""
    known = setup(classes=2, train_class_counts=(650, 650), val_class_counts=(1200, 100), settings=settings)
    curve = epochs([0.80, 0.88], [0.70, 0.76], [0.35, 0.30], [0.60, 0.52])
    first, last = curve
    balanced = [replace(first, val_balanced_accuracy=0.7), replace(last, val_balanced_accuracy=0.76)]
    return seen(setup=known, curve=balanced, val_images=1300)


def test_split_gap_rare_class_told_apart_is_no_difference_of_the_splits() -> None:
    assert split_gap(_weighted(sampling="balanced"), LIMITS) == []
    without = [replace(each, val_balanced_accuracy=math.nan) for each in _weighted().curve]
    assert split_gap(replace(_weighted(), curve=without), LIMITS) != []


def test_label_noise_training_of_equal_classes_is_harder_than_validation() -> None:
    assert label_noise(_weighted(sampling="balanced"), LIMITS) == []
    assert label_noise(_weighted(class_weights="balanced"), LIMITS) == []


def test_chance_loss_under_class_weights_is_that_of_equal_classes() -> None:
    unequal = setup(classes=2, train_class_counts=(1200, 100), settings={"class_weights": "balanced"})
    assert chance_loss(seen(setup=unequal)) == pytest.approx(math.log(2))
    plain = setup(classes=2, train_class_counts=(1200, 100), settings={"class_weights": "none"})
    assert chance_loss(seen(setup=plain)) < 0.3
