"""Accuracies that a loop reports in other units than shares."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from hpo.checks.accuracies import add_epoch
from hpo.checks.observations import EpochFacts, Observations
from hpo.checks.rules.learned import learned
from hpo.records import Finding
from tests.helpers.observed import LIMITS, setup

NAN = math.nan


def reported(*val: float, train: Sequence[float] = ()) -> tuple[Observations, list[Finding]]:
    seen, notes = Observations(setup()), []
    for number, value in enumerate(val, 1):
        accuracy = train[number - 1] if train else NAN
        notes += add_epoch(seen, EpochFacts(number, 10 * number, NAN, accuracy, NAN, value))
    return seen, notes


@pytest.mark.parametrize(
    ("val", "read"),
    [
        ([0.0, 0.5, 1.0000001], [0.0, 0.5, 1.0000001]),
        ([10.0, 93.5, 0.5, 100.0], [0.1, 0.935, 0.005, 1.0]),
        ([0.8, 0.9, 1.4], [0.008, 0.009, 0.014]),
        ([10.0, NAN, 20.0], [0.1, NAN, 0.2]),
        ([50.0, 431.0, 20.0], [NAN, NAN, NAN]),
        ([0.5, -0.5], [NAN, NAN]),
    ],
)
def test_checks_read_shares_whatever_unit_is_reported(val: list[float], read: list[float]) -> None:
    seen, notes = reported(*val)
    assert seen.accuracies() == pytest.approx(read, nan_ok=True)
    assert len(notes) == (0 if read == val else 2 if 431.0 in val else 1)
    assert all(each.severity == "note" and each.remedy.text for each in notes)


def test_unit_of_each_accuracy_is_its_own() -> None:
    seen, notes = reported(0.2, 0.3, train=[20.0, 0.4])
    assert [each.train_accuracy for each in seen.curve] == pytest.approx([0.2, 0.004])
    assert seen.accuracies() == [0.2, 0.3]
    (note,) = notes
    assert note.message == "train_accuracy 20 is not a share from 0 to 1: it is read as a percentage, 0.2"


def test_chance_in_percent_is_chance() -> None:
    """9 % of ten classes is not 'reached 9.000; guessing gives 0.100'."""
    seen, _ = reported(9.0, 8.0, 9.0)
    (found,) = learned(seen, LIMITS)
    assert (found.severity, found.cause) == ("warn", "not_learning")
