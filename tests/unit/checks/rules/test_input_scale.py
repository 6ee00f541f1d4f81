"""Images that are not scaled, not centered, or not alike in training and validation."""

from __future__ import annotations

import math

import pytest

from hpo.checks.observations import Observations
from hpo.checks.rules.input_scale import _CERTAIN, input_scale, split_difference
from tests.helpers.observed import LIMITS, NAN, forward, images, one, preflight, seen, setup

LOW, HIGH, OFFSET = LIMITS.image_std_low, LIMITS.image_std_high, LIMITS.image_offset
SHIFT, SCALE = LIMITS.split_shift, LIMITS.split_scale


def pixels(mean: float, std: float, preprocessing: str = "standardize") -> Observations:
    sets = setup(settings={"preprocessing": preprocessing})
    return seen(setup=sets, preflight=preflight(images=images(mean=mean, std=std)))


@pytest.mark.parametrize(("mean", "std"), [(0, 1), (0, LOW), (0, HIGH), (OFFSET, 1), (-2 * OFFSET, 2)])
def test_input_scale_inside_passes(mean: float, std: float) -> None:
    found = one(input_scale(pixels(mean, std), LIMITS), "pass", "")
    assert f"mean {mean:.2f} and standard deviation {std:.2f}" in found.message


@pytest.mark.parametrize(
    ("mean", "std", "value", "threshold", "words"),
    [
        (0, LOW * 0.99, LOW * 0.99, LOW, "0.02: they were scaled twice"),
        (0, HIGH * 1.01, HIGH * 1.01, HIGH, "10.1: scale them"),
        (2.02 * OFFSET, 2, 1.01 * OFFSET, OFFSET, "4.0 standard deviations from 0"),
        (-1.01 * OFFSET, 1, 1.01 * OFFSET, OFFSET, "mean of -4.04"),
        (0.5, 0, 0, LOW, "every pixel of every image is 0.5"),
    ],
)
def test_input_scale_outside_warns(
    mean: float, std: float, value: float, threshold: float, words: str
) -> None:
    found = one(input_scale(pixels(mean, std), LIMITS), "warn", "input_scale")
    assert found.value == pytest.approx(value) and found.threshold == threshold and words in found.message
    assert found.remedy.change == {"code": "scale_input"}


@pytest.mark.parametrize(("mean", "std"), [(0, NAN), (NAN, 1), (0, math.inf)])
def test_input_scale_pixels_that_are_not_finite_are_fatal(mean: float, std: float) -> None:
    assert "not finite" in one(input_scale(pixels(mean, std), LIMITS), "fatal", "input_scale").message


def test_input_scale_recommends_to_standardize() -> None:
    found = one(input_scale(pixels(0, HIGH * 2, "none"), LIMITS), "warn")
    assert found.remedy.change == {"preprocessing": "standardize"}


def splits(mean: float, std: float, split_t: float = NAN) -> Observations:
    """Training images of mean 1 and standard deviation 2, and others."""
    train, val = images(mean=1.0, std=2.0), images(mean=mean, std=std)
    return seen(preflight=preflight(images=train, val_images=val, split_t=split_t))


@pytest.mark.parametrize(
    ("mean", "std"), [(1 + 2 * SHIFT, 2), (1 - 2 * SHIFT, 2), (1, 2 * SCALE), (1, 2 / SCALE)]
)
def test_input_scale_images_that_are_alike_are_quiet(mean: float, std: float) -> None:
    assert split_difference(splits(mean, std), LIMITS) == []


@pytest.mark.parametrize(
    ("mean", "std", "value", "threshold"),
    [
        (1 + 2.2 * SHIFT, 2, 1.1 * SHIFT, SHIFT),
        (1 - 2.2 * SHIFT, 2, 1.1 * SHIFT, SHIFT),
        (1, 2.2 * SCALE, 1.1 * SCALE, SCALE),
        (1, 2 / 1.1 / SCALE, 1.1 * SCALE, SCALE),
    ],
)
def test_input_scale_images_that_are_not_alike(
    mean: float, std: float, value: float, threshold: float
) -> None:
    found = one(split_difference(splits(mean, std), LIMITS), "warn", "train_val_mismatch")
    assert found.value == pytest.approx(value) and found.threshold == threshold
    assert f"validation images {mean:.3g} and {std:.3g}" in found.message and "mean 1" in found.message
    assert found.remedy.change == {"code": "same_normalization"}


def test_input_scale_what_the_loop_feeds_counts_too() -> None:
    passes = [forward(0), forward(100, learning=False, mean=1.1 * SHIFT)]
    assert one(split_difference(seen(forwards=passes), LIMITS), "warn").step == 100
    assert split_difference(seen(forwards=passes[1:]), LIMITS) == []
    assert split_difference(seen(forwards=[forward(0), forward(1, learning=False, mean=SHIFT)]), LIMITS) == []


@pytest.mark.parametrize("sign", [1, -1])
def test_input_scale_a_pattern_that_differs_beyond_doubt(sign: int) -> None:
    assert split_difference(splits(1, 2, sign * _CERTAIN), LIMITS) == []
    found = one(split_difference(splits(1, 2, sign * 1.1 * _CERTAIN), LIMITS), "warn", "train_val_mismatch")
    assert found.value == pytest.approx(1.1 * _CERTAIN) and f"t = {sign * 9}" in found.message


@pytest.mark.parametrize(("mean", "std"), [(NAN, 2), (1, NAN), (NAN, NAN)])
def test_input_scale_unknown_statistics_report_nothing(mean: float, std: float) -> None:
    assert split_difference(splits(mean, std), LIMITS) == []
    assert (
        split_difference(seen(forwards=[forward(0), forward(9, learning=False, mean=mean, std=std)]), LIMITS)
        == []
    )
    assert split_difference(seen(preflight=None), LIMITS) == []
