"""Standstill at ln C, told from slow progress by a line."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from hpo.checks.rules.not_learning import not_learning, trend
from tests.helpers.observed import LIMITS, LN10, falling, one, seen


@pytest.mark.parametrize("count", [3, 40, 401])
def test_the_line_is_that_of_scipy(count: int) -> None:
    losses = falling(count)
    level, slope, error = trend(losses)
    line = stats.linregress(np.arange(count), losses)
    assert slope == pytest.approx(line.slope) and error == pytest.approx(line.stderr, rel=1e-6)
    assert level == pytest.approx(line.intercept + line.slope * (count - 1))
    assert [slope, level] == pytest.approx([np.polyfit(range(count), losses, 1)[0], level])


def flat(level: float, steps: int = 300) -> np.ndarray:
    return level + 0.01 * np.tile([1.0, -1.0], steps // 2)


def test_a_loss_at_chance_is_fatal() -> None:
    found = one(not_learning(seen(losses=flat(LN10)), LIMITS), "fatal", "not_learning")
    assert "300 of 500" in found.message and "2.303" in found.message


def test_its_level_counts_from_the_margin_on() -> None:
    below = flat(LN10 - 2.5 * LIMITS.chance_margin)
    assert not_learning(seen(losses=below), LIMITS) == []
    one(not_learning(seen(losses=flat(LN10 - LIMITS.chance_margin / 2)), LIMITS), "fatal")


def test_slow_progress_is_left_alone() -> None:
    slow = flat(LN10) - np.linspace(-0.05, 0.05, 300)
    assert not_learning(seen(losses=slow), LIMITS) == []


def test_it_waits() -> None:
    early = max(40, math.ceil(LIMITS.patience * 500)) - 2
    assert not_learning(seen(losses=flat(LN10, early)), LIMITS) == []
    assert not_learning(seen(losses=np.full(300, np.nan)), LIMITS) == []


def test_losses_that_exploded_are_no_line() -> None:
    """And no warning: pytest takes those for errors."""
    assert math.isnan(trend(np.array([2.3, np.inf, np.nan]))[0])
