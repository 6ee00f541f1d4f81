"""Gaps between training and validation that overfitting does not explain."""

from __future__ import annotations

import math
from typing import Any

import pytest

from hpo.checks.observations import EpochFacts
from hpo.checks.rules.split_gap import _CARRIES, _DIFFERENT, _GAP, _NOT_MEMORIZED, split_gap
from tests.helpers.observed import LIMITS, NAN, epochs, one, preflight, seen, setup

GUESSING = 0.1 + LIMITS.chance_sigmas * math.sqrt(0.1 * 0.9 / 1000)
"""What guessing among ten classes stays below on 1000 images."""


def apart(gap: float = 0.3, train: float = 0.7, count: int = 3) -> list[EpochFacts]:
    """The same gap in every epoch."""
    return epochs([train - gap] * count, [train] * count, [1.0] * count, [1.0] * count)


def carrying(share: float, train: float = 0.5, count: int = 2) -> list[EpochFacts]:
    """Ten classes; validation has this share of what training has above chance."""
    return apart((1 - share) * (train - 0.1), train, count)


def guessing(best: float, train: float) -> list[EpochFacts]:
    return epochs([0.1, best], [0.2, train], [2.3, 2.3], [2.0, 2.0])


@pytest.mark.parametrize("train", [0.1 + _GAP + 0.001, 0.99])
def test_split_gap_guessing_in_validation_alone(train: float) -> None:
    best = GUESSING - 0.001
    found = one(split_gap(seen(curve=guessing(best, train)), LIMITS), "warn", "train_val_mismatch")
    assert found.value == pytest.approx((best - 0.1) / (train - 0.1)) and found.confidence == 0.75
    assert (found.threshold, found.step) == (_CARRIES, 200)
    assert (
        f"is {best:.3f} at best, no better than guessing, at a training accuracy of {train:.3f}"
        in found.message
    )
    assert found.remedy.change == {"code": "same_normalization"}


def test_split_gap_guessing_in_both_is_not_a_gap() -> None:
    assert split_gap(seen(curve=guessing(GUESSING - 0.001, 0.1 + _GAP - 0.001)), LIMITS) == []


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("gap", "split_t", "count"),
    [
        (_GAP + 0.001, _DIFFERENT + 0.1, 1),
        (_GAP - 0.001, _DIFFERENT + 0.1, 0),
        (_GAP + 0.001, _DIFFERENT - 0.1, 0),
        (_GAP + 0.001, NAN, 0),
    ],
)
def test_split_gap_images_that_look_different(gap: float, split_t: float, count: int, sign: int) -> None:
    facts = preflight(split_t=sign * split_t)
    found = split_gap(seen(curve=apart(gap), preflight=facts), LIMITS)
    assert len(found) == count
    if found:
        assert "inputs of the two splits differ" in one(found, "warn", "train_val_mismatch").message
        assert found[0].value == pytest.approx(gap) and found[0].threshold == _GAP


def test_split_gap_what_training_learns_and_validation_does_not_show() -> None:
    found = one(split_gap(seen(curve=carrying(_CARRIES - 0.01)), LIMITS), "warn", "train_val_mismatch")
    assert found.value == pytest.approx(_CARRIES - 0.01) and (found.threshold, found.step) == (_CARRIES, 200)
    assert (
        "is 0.256 at best, 39% of the gain over guessing in training, at a training accuracy of 0.500"
        in found.message
    )
    assert found.confidence == 0.6


@pytest.mark.parametrize(
    "inside",
    [
        {"share": _CARRIES + 0.01},
        {"share": 0.3, "train": 0.1 + _GAP - 0.001},
        {"share": 0.3, "train": _NOT_MEMORIZED + 0.001},
        {"share": 0.3, "count": 1},
    ],
)
def test_split_gap_inside_of_one_is_quiet(inside: dict[str, Any]) -> None:
    assert split_gap(seen(curve=carrying(**inside)), LIMITS) == []


def test_split_gap_a_bad_epoch_after_a_good_one_is_not_a_gap() -> None:
    """Statistics of batch normalization jump, validation accuracy with them."""
    curve = [*carrying(0.8, count=2), carrying(0.3, count=3)[-1]]
    assert split_gap(seen(curve=curve), LIMITS) == []


def test_split_gap_without_a_number_of_images_guessing_is_not_claimed() -> None:
    curve = carrying(0.3, train=_NOT_MEMORIZED + 0.001)
    assert split_gap(seen(curve=curve, val_images=None), LIMITS) == []


def test_split_gap_of_unequal_classes_starts_at_the_largest() -> None:
    """95 % against 95 % is not a gap: neither split was learned."""
    counts = setup(classes=2, train_class_counts=(475, 25), val_class_counts=(95, 5))
    curve = epochs([0.95, 0.95], [0.95, 0.95], [0.2, 0.2], [0.2, 0.2])
    assert split_gap(seen(curve=curve, setup=counts, val_images=100), LIMITS) == []
