"""Trainings that do not even know their images."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hpo.checks.observations import Observations
from hpo.checks.rules.underfitting import _HEAVY, underfitting
from tests.helpers.observed import LIMITS, LN10, NAN, epochs, one, seen, setup

LIMIT = LIMITS.underfit_accuracy


def knowing(share: float, below: float = 0.01, **changes: Any) -> Observations:
    """The second of three epochs knows this share, above chance, of the training images."""
    accuracy = 0.1 + 0.9 * share
    curve = epochs([0.1, accuracy - below, 0.1], [0.1, accuracy, 0.1])
    return seen(curve=curve, setup=setup(**changes))


def test_underfitting_just_above_is_quiet() -> None:
    assert underfitting(knowing(LIMIT + 0.001), LIMITS) == []


def test_underfitting_just_below_it_underfits() -> None:
    found = one(underfitting(knowing(LIMIT - 0.001), LIMITS), "warn", "underfitting")
    assert found.value == pytest.approx(LIMIT - 0.001) and (found.threshold, found.step) == (LIMIT, 200)
    accuracy = 0.1 + 0.9 * (LIMIT - 0.001)
    assert f"only {accuracy:.3f}" in found.message and f"accuracy {accuracy - 0.01:.3f}" in found.message
    assert found.remedy.change == {} and "larger network" in found.remedy.text


@pytest.mark.parametrize(("share", "count"), [(LIMIT + 0.001, 0), (LIMIT - 0.001, 1)])
def test_underfitting_validation_accuracy_counts_where_it_is_higher(share: float, count: int) -> None:
    """Dropout and augmentation take accuracy from training alone."""
    validated = 0.1 + 0.9 * share
    curve = epochs([validated], [validated - 0.1])
    assert len(underfitting(seen(curve=curve), LIMITS)) == count


@pytest.mark.parametrize(("factor", "count"), [(1.01, 0), (0.99, 1)])
def test_underfitting_more_is_asked_where_settings_are_heavy(factor: float, count: int) -> None:
    found = underfitting(knowing(factor * _HEAVY * LIMIT, dropout=0.9), LIMITS)
    assert [each.threshold for each in found] == [_HEAVY * LIMIT] * count


@pytest.mark.parametrize(("width", "wider"), [(1, 8), (2, 8), (16, 64)])
def test_underfitting_a_known_width_is_made_four_times_as_wide(width: int, wider: int) -> None:
    found = one(underfitting(knowing(0.0, settings={"width": width}), LIMITS), "warn")
    assert found.remedy.change == {"width": wider} and f"width: {wider}" in found.remedy.text


def test_underfitting_unknown_accuracies_report_nothing() -> None:
    assert underfitting(seen(curve=[]), LIMITS) == []
    assert underfitting(seen(curve=epochs([0.1], [NAN])), LIMITS) == []
    assert underfitting(seen(curve=epochs([NAN], [0.1])), LIMITS) == []


def test_underfitting_always_the_most_frequent_class_underfits() -> None:
    counts = setup(classes=2, train_class_counts=(475, 25), val_class_counts=(19, 1))
    found = one(underfitting(seen(curve=epochs([0.95], [0.95]), setup=counts), LIMITS), "warn")
    assert found.value == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("epochs_set", "end", "change"),
    [(1, 2.1, {"epochs": 3}), (2, 2.1, {"epochs": 6}), (3, 2.1, {"width": 32}), (1, LN10, {"width": 32})],
    ids=["one epoch", "two epochs", "three epochs", "a loss that stands still"],
)
def test_underfitting_a_short_training_that_still_improves_goes_longer(
    epochs_set: int, end: float, change: dict[str, int]
) -> None:
    """One epoch at a low rate: 0.183; width 32 reaches 0.222, three epochs 0.346."""
    noise = 0.01 * np.random.default_rng(0).standard_normal(140)
    known = knowing(0.05, settings={"width": 8, "epochs": epochs_set})
    found = underfitting(replace(known, losses=np.linspace(LN10, end, 140) + noise), LIMITS)
    assert one(found, "warn").remedy.change == change
