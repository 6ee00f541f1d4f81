"""Training accuracy above validation accuracy, while the validation loss turns."""

from __future__ import annotations

import numpy as np
import pytest

from hpo.checks.data_facts import DataFacts, Dependence
from hpo.checks.observations import EpochFacts
from hpo.checks.rules.overfitting import _SEVERE_GAP, _TURNED, overfitting, rising_validation_loss
from tests.helpers.observed import LIMITS, NAN, epochs, one, seen

GAP = LIMITS.overfit_gap


def apart(gap: float, turn: float) -> list[EpochFacts]:
    """A last epoch with this gap, and a validation loss of ``turn`` times the smallest, 2.0."""
    return epochs([0.3, 0.4, 0.5], [0.3, 0.4, 0.5 + gap], [2.5, 2.0, 2.0 * turn])


@pytest.mark.parametrize(("gap", "turn"), [(GAP - 0.001, 2.0), (0.5, _TURNED - 0.001), (-0.3, 2.0)])
def test_overfitting_inside_is_quiet(gap: float, turn: float) -> None:
    assert overfitting(seen(curve=apart(gap, turn)), LIMITS) == []


@pytest.mark.parametrize(
    ("gap", "turn", "severity"),
    [
        (GAP + 0.001, _TURNED + 0.001, "note"),
        (_SEVERE_GAP - 0.001, 2.0, "note"),
        (_SEVERE_GAP + 0.001, _TURNED + 0.001, "warn"),
    ],
)
def test_overfitting_beyond_both_it_overfits(gap: float, turn: float, severity: str) -> None:
    found = one(overfitting(seen(curve=apart(gap, turn)), LIMITS), severity, "overfitting")
    assert found.value == pytest.approx(gap) and found.threshold == GAP and found.step == 300
    assert f"{0.5 + gap:.3f} against 0.500" in found.message
    assert f"from 2.00 to {2 * turn:.2f}" in found.message
    assert found.remedy.change == {"augmentation": "flip_crop"}


def test_overfitting_unknown_epochs_report_nothing() -> None:
    assert overfitting(seen(curve=[]), LIMITS) == []
    assert overfitting(seen(curve=epochs([0.5], [NAN], [9.0])), LIMITS) == []
    assert overfitting(seen(curve=[*apart(0.0, 1.0), *epochs([0.1], [1.0], [NAN])]), LIMITS) == []


@pytest.mark.parametrize(
    ("accuracy", "falls", "dependence", "cause"),
    [
        (0.11, True, NAN, "labels_do_not_match"),
        (0.11, True, 30.0, "train_val_mismatch"),
        (0.25, True, NAN, "overfitting"),
        (0.6, True, NAN, "overfitting"),
        (0.11, False, NAN, "overfitting"),
    ],
)
def test_rising_validation_loss_at_chance_is_no_overfitting(
    accuracy: float, falls: bool, dependence: float, cause: str
) -> None:
    values = [0.65, 0.65, *[accuracy] * 6]
    curve = epochs(values, [NAN] * 8, [2.3, 2.2, 2.4, 2.6, 2.8, 3.0, 3.2, 3.4])
    losses = np.linspace(2.3, 0.5 if falls else 2.3, 800)
    observed = seen(
        curve=curve, losses=losses, val_images=1000, data=DataFacts(dependence=Dependence(inputs=dependence))
    )
    found = one(rising_validation_loss(observed, LIMITS), "warn", cause)
    assert ("guessing" in found.message) == (cause != "overfitting")
