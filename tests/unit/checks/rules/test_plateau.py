"""Validation losses that stand still for the second half."""

from __future__ import annotations

import pytest

from hpo.checks.observations import EpochFacts
from hpo.checks.rules.plateau import _LEAST_EPOCHS, _STILL, plateau
from tests.helpers.observed import LIMITS, NAN, epochs, one, seen


def gaining(gain: float, count: int = _LEAST_EPOCHS) -> list[EpochFacts]:
    """The second half comes to (1 - ``gain``) times the best loss of the first, 2.0."""
    losses = [2.4, *[2.0] * (count // 2 - 1), 2.1, *[2.0 * (1 - gain)] * (count - count // 2 - 1)]
    return epochs([0.5] * count, val_loss=losses)


def test_plateau_more_than_a_hundredth_is_quiet() -> None:
    assert plateau(seen(curve=gaining(_STILL + 0.001)), LIMITS) == []


@pytest.mark.parametrize("gain", [_STILL - 0.001, 0.0, -0.04])
def test_plateau_less_stands_still(gain: float) -> None:
    found = one(plateau(seen(curve=gaining(gain)), LIMITS), "note", "")
    assert found.value == pytest.approx(gain) and found.threshold == _STILL and found.step == 600
    assert f"2.000 halfway and {2 * (1 - gain):.3f} at the end" in found.message
    assert "schedule: cosine" in found.remedy.text


def test_plateau_few_or_unknown_epochs_report_nothing() -> None:
    assert plateau(seen(curve=gaining(0.0)[:-1]), LIMITS) == []
    assert plateau(seen(curve=epochs([0.5] * 6, val_loss=[2.0] * 5 + [NAN])), LIMITS) == []
    assert plateau(seen(curve=[]), LIMITS) == []
