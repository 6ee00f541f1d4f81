"""Gaps between training and validation that overfitting does not explain."""

from __future__ import annotations

import math
from typing import Any

import pytest
from observed import LIMITS, NAN, epochs, one, preflight, seen

from hpo.checks.input_scale import LOOKS_DIFFERENT
from hpo.checks.observations import EpochFacts
from hpo.checks.split_gap import _GAP, _LOSSES, _NOT_BY_HEART, split_gap

GUESSING = 0.1 + LIMITS.chance_sigmas * math.sqrt(0.1 * 0.9 / 1000)
"""What guessing among ten classes stays below on 1000 images."""


def apart(gap: float = 0.3, train: float = 0.7, losses: float = 2.0, count: int = 3) -> list[EpochFacts]:
    """The same gap, and ratio of losses, in every epoch."""
    return epochs([train - gap] * count, [train] * count, [losses] * count, [1.0] * count)


def guessing(best: float, train: float) -> list[EpochFacts]:
    return epochs([0.1, best], [0.2, train], [2.3, 2.3], [2.0, 2.0])


@pytest.mark.parametrize(
    ("best", "train"), [(GUESSING + 0.001, 0.4), (GUESSING - 0.001, GUESSING + _GAP - 0.001)]
)
def test_either_alone_is_quiet(best: float, train: float) -> None:
    assert split_gap(seen(curve=guessing(best, train)), LIMITS) == []


def test_guessing_in_validation_alone() -> None:
    best, train = GUESSING - 0.001, GUESSING + _GAP + 0.001
    found = one(split_gap(seen(curve=guessing(best, train)), LIMITS), "warn", "train_val_mismatch")
    assert (found.value, found.step) == (best, 200) and found.threshold == pytest.approx(GUESSING)
    assert f"is {best:.3f}, no better" in found.message and f"accuracy of {train:.3f}" in found.message
    assert found.remedy.change == {"code": "same_normalization"}


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("gap", "split_t", "count"),
    [
        (_GAP + 0.001, LOOKS_DIFFERENT + 0.1, 1),
        (_GAP - 0.001, LOOKS_DIFFERENT + 0.1, 0),
        (_GAP + 0.001, LOOKS_DIFFERENT - 0.1, 0),
        (_GAP + 0.001, NAN, 0),
    ],
)
def test_images_that_look_different(gap: float, split_t: float, count: int, sign: int) -> None:
    facts = preflight(split_t=sign * split_t)
    found = split_gap(seen(curve=apart(gap, losses=1.0), preflight=facts), LIMITS)
    assert len(found) == count
    if found:
        assert "images look different" in one(found, "warn", "train_val_mismatch").message
        assert found[0].value == pytest.approx(gap) and found[0].threshold == _GAP


def test_a_gap_from_the_first_epoch_on() -> None:
    curve = apart(_GAP + 0.001, _NOT_BY_HEART - 0.001, _LOSSES + 0.01)
    found = one(split_gap(seen(curve=curve), LIMITS), "warn", "train_val_mismatch")
    assert found.value == pytest.approx(_GAP + 0.001) and (found.threshold, found.step) == (_GAP, 300)
    assert "from the first epoch on" in found.message and "(0.799)" in found.message


@pytest.mark.parametrize(
    "inside",
    [
        {"gap": _GAP - 0.001},
        {"train": _NOT_BY_HEART + 0.001},
        {"losses": _LOSSES - 0.01},
        {"losses": NAN},
        {"count": 1},
    ],
)
def test_inside_of_one_is_quiet(inside: dict[str, Any]) -> None:
    assert split_gap(seen(curve=apart(**inside)), LIMITS) == []


@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_an_epoch_without_it_is_a_doubt(epoch: int) -> None:
    curve = apart()
    curve[epoch] = apart(gap=0.0)[epoch]
    assert split_gap(seen(curve=curve), LIMITS) == []
