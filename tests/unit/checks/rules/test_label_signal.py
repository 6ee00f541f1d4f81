"""Which split's labels a linear model can tell; that it can is in test_signal."""

from __future__ import annotations

import pytest
from scipy import stats

from hpo.checks.observations import Observations
from hpo.checks.preflight import LabelSignal
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
    """A share of the labels of ten classes that guessing exceeds in 0.6 % of all cases."""
    found = one(label_signal(told(*shares), LIMITS), "note", cause)
    assert found.threshold == stats.binom.isf(stats.norm.sf(2.5), 256, 0.1) / 256
