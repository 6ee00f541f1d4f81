"""Standstill at ln C, told from slow progress by a line."""

from __future__ import annotations

import math

import numpy as np

from hpo.checks.rules.not_learning import not_learning
from tests.helpers.observed import LIMITS, LN10, one, seen, setup


def flat(level: float, steps: int = 300) -> np.ndarray:
    return level + 0.01 * np.tile([1.0, -1.0], steps // 2)


def test_not_learning_a_loss_at_chance_is_fatal() -> None:
    found = one(not_learning(seen(losses=flat(LN10)), LIMITS), "fatal", "not_learning")
    assert "300 of 500" in found.message and "2.303" in found.message


def test_not_learning_its_level_counts_from_the_margin_on() -> None:
    below = flat(LN10 - 2.5 * LIMITS.chance_margin)
    assert not_learning(seen(losses=below), LIMITS) == []
    one(not_learning(seen(losses=flat(LN10 - LIMITS.chance_margin / 2)), LIMITS), "fatal")


def test_not_learning_slow_progress_is_left_alone() -> None:
    slow = flat(LN10) - np.linspace(-0.05, 0.05, 300)
    assert not_learning(seen(losses=slow), LIMITS) == []


def test_not_learning_it_waits() -> None:
    early = max(40, math.ceil(LIMITS.patience * 500)) - 2
    assert not_learning(seen(losses=flat(LN10, early)), LIMITS) == []
    assert not_learning(seen(losses=np.full(300, np.nan)), LIMITS) == []


def test_not_learning_unequal_classes_are_guessed_at_their_entropy() -> None:
    """Of 475 and 25: 0.199 nats, far below ln 2."""
    noise = setup(classes=2, train_class_counts=(475, 25))
    found = one(not_learning(seen(losses=flat(0.199), setup=noise), LIMITS), "fatal", "not_learning")
    assert "no better than guessing (the entropy of the labels = 0.199)" in found.message
    assert not_learning(seen(losses=flat(0.17), setup=noise), LIMITS) == []
