"""Which split's labels a linear model can tell; that it can is in test_signal."""

from __future__ import annotations

import pytest

from hpo.checks.observations import LabelSignal, Observations
from hpo.checks.rules.label_signal import label_signal
from tests.helpers.observed import LIMITS, one, preflight, seen


def told(train: float, val: float, transfer: float) -> Observations:
    return seen(preflight=preflight(signal=LabelSignal(train, val, transfer, 256)))


@pytest.mark.parametrize(
    "shares", [(0.25, 0.24, 0.26), (0.1, 0.1, 0.1), (0.16, 0.24, 0.18), (0.25, 0.24, 0.16)]
)
def test_label_signal_equal_in_both_splits_reports_nothing(shares: tuple[float, float, float]) -> None:
    one(label_signal(told(*shares), LIMITS), "pass")


def test_label_signal_without_validation_nothing_is_reported() -> None:
    assert label_signal(seen(), LIMITS) == []


@pytest.mark.parametrize(
    ("shares", "cause"),
    [
        ((0.08, 0.25, 0.1), "labels_do_not_match"),
        ((0.25, 0.24, 0.11), "train_val_mismatch"),
        ((0.25, 0.1, 0.1), "train_val_mismatch"),
    ],
)
def test_label_signal_blames_the_split_without_signal(shares: tuple[float, ...], cause: str) -> None:
    """Guessing 256 labels of ten classes has a standard error of sqrt(0.1 x 0.9 / 256) = 0.019."""
    found = one(label_signal(told(*shares), LIMITS), "note", cause)
    assert found.threshold == pytest.approx(0.1 + 2.5 * 0.01875)
