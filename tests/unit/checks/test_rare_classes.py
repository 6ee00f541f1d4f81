"""Guessing where classes are unequal, by each metric, and checks of trainings under class weights."""

from __future__ import annotations

import math

import pytest

from hpo.checks.chance import auc_limit, balanced_chance, constant_value

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
