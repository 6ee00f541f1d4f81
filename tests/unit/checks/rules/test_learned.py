"""Validation accuracy against guessing, whose scatter is binomial."""

from __future__ import annotations

import pytest
from scipy import stats

from hpo.checks.derived import chance_limit
from hpo.checks.rules.learned import learned
from tests.helpers.observed import LIMITS, epochs, one, seen


@pytest.mark.parametrize(("classes", "images"), [(2, 100), (10, 1000), (100, 5000)])
def test_guessing_exceeds_the_limit_by_chance_as_seldom_as_it_should(classes: int, images: int) -> None:
    guessing = stats.binom(images, 1 / classes)
    limit = chance_limit(classes, images, LIMITS.chance_sigmas)
    assert limit * images == pytest.approx(guessing.mean() + LIMITS.chance_sigmas * guessing.std())
    assert guessing.sf(limit * images) < 10 * stats.norm.sf(LIMITS.chance_sigmas)


def test_learned_just_below_and_just_above() -> None:
    limit = chance_limit(10, 1000, LIMITS.chance_sigmas)
    found = one(learned(seen(curve=epochs([0.1, limit - 1e-6])), LIMITS), "warn", "not_learning")
    assert f"{limit:.3f}" in found.message and "0.100" in found.message and found.remedy.change
    one(learned(seen(curve=epochs([0.1, limit + 1e-6])), LIMITS), "pass")


def test_learned_without_a_number_of_images_nothing_is_reported() -> None:
    assert learned(seen(val_images=None), LIMITS) == []
