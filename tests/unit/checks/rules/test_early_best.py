"""Trainings that were at their best long before they ended."""

from __future__ import annotations

from hpo.checks.rules.early_best import _EARLY, early_best
from tests.helpers.observed import LIMITS, NAN, epochs, one, seen


def best_at(epoch: int, of: int = 10) -> list[float]:
    """Validation accuracies with their maximum at ``epoch``."""
    return [0.5 - 0.01 * abs(number - epoch) for number in range(1, of + 1)]


def test_early_best_the_second_half_is_not_early() -> None:
    assert early_best(seen(curve=epochs(best_at(6))), LIMITS) == []


def test_early_best_the_first_half_is() -> None:
    found = one(early_best(seen(curve=epochs(best_at(5))), LIMITS), "note", "")
    assert (found.value, found.threshold, found.step) == (0.5, _EARLY, 1000)
    assert "epoch 5 of 10" in found.message and "lower epochs" in found.remedy.text


def test_early_best_of_equal_epochs_the_first_is_the_best() -> None:
    assert "epoch 2 of 6" in one(early_best(seen(curve=epochs([0.3, *[0.5] * 5])), LIMITS), "note").message


def test_early_best_three_epochs_or_unknown_ones_report_nothing() -> None:
    assert early_best(seen(curve=epochs(best_at(1, of=3))), LIMITS) == []
    assert early_best(seen(curve=epochs([0.5, 0.4, 0.3, NAN])), LIMITS) == []
    assert early_best(seen(curve=[]), LIMITS) == []
