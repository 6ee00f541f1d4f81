"""Trainings that were still improving when they ended."""

from __future__ import annotations

import pytest

from hpo.checks.rules.unfinished import _STILL, unfinished
from tests.helpers.observed import LIMITS, NAN, epochs, one, seen


@pytest.mark.parametrize("gain", [_STILL - 0.001, 0.0, -0.1])
def test_unfinished_a_small_last_gain_is_quiet(gain: float) -> None:
    assert unfinished(seen(curve=epochs([0.3, 0.5, 0.4, 0.5 + gain])), LIMITS) == []


def test_unfinished_a_larger_one_calls_for_more_epochs() -> None:
    found = one(unfinished(seen(curve=epochs([0.3, 0.5, 0.4, 0.5 + _STILL + 0.001])), LIMITS), "note", "")
    assert found.value == pytest.approx(_STILL + 0.001) and (found.threshold, found.step) == (_STILL, 400)
    assert "gained 0.011" in found.message and found.remedy.text == "raise epochs"


@pytest.mark.parametrize("accuracies", [[], [0.1, 0.3, 0.5], [NAN, 0.1, 0.3, 0.5], [0.1, 0.2, 0.3, NAN]])
def test_unfinished_few_or_unknown_epochs_report_nothing(accuracies: list[float]) -> None:
    assert unfinished(seen(curve=epochs(accuracies)), LIMITS) == []
