"""Losses that swing from step to step."""

from __future__ import annotations

import numpy as np
import pytest

from hpo.checks.rules.oscillation import _SWING, oscillation
from tests.helpers.observed import LIMITS, NAN, one, seen


def swinging(swing: float, steps: int = 80) -> np.ndarray:
    """Up and down around 2; half the mean square of the differences is the square of 2 x ``swing``."""
    return 2.0 + np.sqrt(2) * swing * np.where(np.arange(steps) % 2, 1.0, -1.0)


@pytest.mark.parametrize("swing", [0.0, _SWING - 0.01])
def test_oscillation_inside_is_quiet(swing: float) -> None:
    assert oscillation(seen(losses=swinging(swing)), LIMITS) == []


def test_oscillation_beyond_it_the_learning_rate_may_be_lowered() -> None:
    found = one(oscillation(seen(losses=swinging(_SWING + 0.01), snapshots=[]), LIMITS), "note", "")
    assert found.value == pytest.approx(_SWING + 0.01) and found.threshold == _SWING
    assert "swings by 36%" in found.message and found.step == 80
    assert found.remedy.change == {"lr": pytest.approx(0.05 / 3, rel=0.05)}


def test_oscillation_only_the_last_half_counts() -> None:
    calm = np.concatenate([swinging(0.5), swinging(0.0)])
    assert oscillation(seen(losses=calm), LIMITS) == []
    one(oscillation(seen(losses=calm[::-1]), LIMITS), "note")


def test_oscillation_a_steady_fall_does_not_swing() -> None:
    assert oscillation(seen(losses=np.linspace(10.0, 0.1, 200)), LIMITS) == []


def test_oscillation_short_unfinished_or_spoilt_losses_report_nothing() -> None:
    wild = swinging(0.5)
    one(oscillation(seen(losses=wild), LIMITS), "note")
    assert oscillation(seen(losses=wild[:78]), LIMITS) == []
    assert oscillation(seen(losses=wild, ended=False), LIMITS) == []
    assert oscillation(seen(losses=np.append(wild, NAN)), LIMITS) == []
