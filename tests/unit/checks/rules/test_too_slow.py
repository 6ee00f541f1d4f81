"""Losses that come down in a shallow line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hpo.checks.derived import USUAL_UPDATE
from hpo.checks.observations import Observations
from hpo.checks.rules.too_slow import _LITTLE, _SMALL, _STRAIGHT, too_slow
from tests.helpers.observed import LIMITS, LN10, NAN, layer, one, seen, snapshot

STEPS = 400


def line(fallen: float, steps: int = STEPS) -> np.ndarray:
    """From the mean of the first twentieth down to the end by ``fallen`` x ln 10, in a straight line."""
    first = max(10, steps // 20)
    return LN10 * (1 - fallen * (np.arange(steps) - (first - 1) / 2) / (steps - 1 - (first - 1) / 2))


def slow(losses: np.ndarray | None = None, ratio: float = 1e-5, **changes: Any) -> Observations:
    shots = [snapshot(layer(update_ratio=ratio), step=step) for step in (0, 8, 32)]
    return seen(**{"losses": line(0.1) if losses is None else losses, "snapshots": shots, **changes})


def test_too_slow_little_in_a_line_by_small_steps_is_too_slow() -> None:
    found = one(too_slow(slow(line(_LITTLE - 0.001), _SMALL * 0.99), LIMITS), "warn", "lr_too_low")
    assert found.value == pytest.approx(_LITTLE - 0.001) and found.threshold == _LITTLE
    assert f"from 2.303 to {LN10 * (1 - _LITTLE + 0.001):.3f}" in found.message
    assert "3.0e-04" in found.message and found.step == STEPS and found.remedy.change["lr"] >= 0.15


def test_too_slow_beyond_any_of_them_it_is_not() -> None:
    assert too_slow(slow(line(_LITTLE + 0.001)), LIMITS) == []
    assert too_slow(slow(line(-0.001)), LIMITS) == []
    assert too_slow(slow(ratio=_SMALL * 1.01), LIMITS) == []


@pytest.mark.parametrize(("share", "count"), [(_STRAIGHT + 0.02, 1), (_STRAIGHT - 0.02, 0)])
def test_too_slow_a_second_half_that_falls_less_is_not_a_line(share: float, count: int) -> None:
    half = np.linspace(0.0, 1.0, STEPS // 2)
    bent = 2.3 - 0.2 * np.concatenate([half, 1 + share * half])
    assert len(too_slow(slow(bent, ratio=1e-4), LIMITS)) == count


def test_a_first_step_far_below_the_usual_is_too_slow_whatever_the_line() -> None:
    bent = 2.3 - 0.25 * np.minimum(1.0, np.arange(STEPS) / 100)
    one(
        too_slow(slow(bent, ratio=USUAL_UPDATE["sgd"] / (1.01 * LIMITS.update_factor)), LIMITS),
        "warn",
        "lr_too_low",
    )
    assert too_slow(slow(bent, ratio=1.01 * USUAL_UPDATE["sgd"] / LIMITS.update_factor), LIMITS) == []


@pytest.mark.parametrize(("steps", "count"), [(39, 0), (40, 1)])
def test_too_slow_few_steps_prove_nothing(steps: int, count: int) -> None:
    assert len(too_slow(slow(line(0.1, steps)), LIMITS)) == count


def test_too_slow_unfinished_spoilt_or_unknown_reports_nothing() -> None:
    assert too_slow(slow(ended=False), LIMITS) == []
    assert too_slow(slow(np.append(line(0.1), NAN)), LIMITS) == []
    assert too_slow(slow(ratio=NAN), LIMITS) == []
    assert too_slow(slow(snapshots=[]), LIMITS) == []
