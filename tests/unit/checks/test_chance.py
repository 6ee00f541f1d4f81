"""What guessing reaches, against scipy's binomial distribution."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from hpo.checks.chance import Chance, constant_loss, largest_share

CLASSES = (2, 3, 5, 10, 37, 100, 1000)
IMAGES = (4, 5, 11, 12, 15, 16, 40, 66, 100, 500, 999, 1000, 5000, 10_000)


@pytest.mark.parametrize("sigmas", [2.5, 4.0])
@pytest.mark.parametrize("classes", CLASSES)
def test_limit_is_scipys_inverse_survival_function(classes: int, sigmas: float) -> None:
    seldom = stats.norm.sf(sigmas)
    for images in IMAGES:
        for chance in (1 / classes, 1 - 0.5 / classes):
            limit = Chance(chance, images).limit(sigmas)
            assert limit == stats.binom.isf(seldom, images, chance) / images
            assert chance <= limit + 1 / images and limit <= 1


@pytest.mark.parametrize("images", [500, 1000, 5000, 10_000])
def test_limit_of_ten_equal_classes_is_near_four_standard_errors(images: int) -> None:
    """The thresholds of all checks were measured with that; it is two to three images less."""
    errors = 0.1 + 4 * math.sqrt(0.09 / images)
    assert 0 < (Chance(0.1, images).limit(4.0) - errors) * images < 2.5


@pytest.mark.parametrize(
    ("chance", "images", "accuracy", "standing"),
    [
        (0.5, 12, 1.0, "unclear"),
        (0.5, 12, 11 / 12, "unclear"),
        (0.5, 12, 7 / 12, "unclear"),
        (0.5, 12, 6 / 12, "at_chance"),
        (0.5, 15, 1.0, "learned"),
        (0.5, 20, 18 / 20, "unclear"),
        (0.5, 20, 13 / 20, "at_chance"),
        (0.95, 50, 0.95, "at_chance"),
        (0.95, 50, 0.98, "unclear"),
        (0.95, 500, 0.9556, "at_chance"),
        (0.95, 500, 0.99, "learned"),
        (0.1, 1000, 0.14, "at_chance"),
        (0.1, 1000, 0.141, "learned"),
        (1.0, 20, 1.0, "at_chance"),
    ],
)
def test_standing_against_guessing(chance: float, images: int, accuracy: float, standing: str) -> None:
    assert Chance(chance, images).standing(accuracy, 4.0) == standing


@pytest.mark.parametrize(("chance", "images", "accuracy"), [(0.5, 12, 1.0), (0.9, 20, 1.0), (0.95, 50, 0.98)])
def test_images_to_tell_make_the_same_accuracy_clear(chance: float, images: int, accuracy: float) -> None:
    enough = Chance(chance, images).images_to_tell(accuracy, 4.0)
    assert Chance(chance, enough).standing(accuracy, 4.0) == "learned"
    if accuracy == 1.0:
        assert enough == math.ceil(math.log(stats.norm.sf(4.0)) / math.log(chance))


def test_largest_share_of_unknown_counts_is_one_of_the_classes() -> None:
    assert (largest_share((475, 25), 2), largest_share((), 4)) == (0.95, 0.25)


def test_constant_loss_is_the_entropy_of_the_labels() -> None:
    assert constant_loss((475, 25), 2) == pytest.approx(stats.entropy([0.95, 0.05]))
    assert constant_loss((3, 0, 1), 3) == pytest.approx(stats.entropy([0.75, 0.25]))
    assert (constant_loss((), 7), constant_loss((8,) * 7, 7)) == (math.log(7), math.log(7))
