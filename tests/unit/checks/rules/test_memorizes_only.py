"""Twenty examples by heart, and nothing from thousands."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hpo.checks.derived import USUAL_UPDATE
from hpo.checks.observations import Observations
from hpo.checks.preflight import LabelSignal, Memorization
from hpo.checks.rules.learned import learned
from hpo.checks.rules.memorizes_only import _HIGHEST, _LEARNED, memorizes_only
from hpo.checks.verdict import verdict
from tests.helpers.observed import LIMITS, LN10, NAN, epochs, layer, one, preflight, seen, snapshot

USUAL = USUAL_UPDATE["sgd"]


def accuracy(share: float) -> float:
    """Of ten classes, from the share of what is possible above chance."""
    return 0.1 + 0.9 * share


def trained(share: float = 0.0, excess: float = 1.0, **changes: Any) -> Observations:
    """At chance, by first updates of ``excess`` times the usual size."""
    last = accuracy(share)
    first = snapshot(layer(update_ratio=excess * USUAL))
    return seen(**{"curve": epochs([0.05, last], [0.05, last - 0.01]), "snapshots": [first], **changes})


def heart(known: float) -> Any:
    return preflight(memorization=Memorization(20, known, 11, 2.31, 0.4, 3.0, ()))


def test_memorizes_only_just_below_what_counts_as_learning_it_speaks() -> None:
    found = one(memorizes_only(trained(_LEARNED - 0.001), LIMITS), "note", "labels_do_not_match")
    assert found.value == pytest.approx(_LEARNED - 0.001) and found.threshold == _LEARNED
    assert "20 examples" in found.message and "in 11 steps" in found.message
    assert "500 steps" in found.message and found.step == 500
    assert found.remedy.change == {"code": "fix_labels"}
    assert memorizes_only(trained(_LEARNED + 0.001), LIMITS) == []


@pytest.mark.parametrize(("factor", "count"), [(0.99, 1), (1.01, 0)])
def test_memorizes_only_steps_must_have_a_sound_size(factor: float, count: int) -> None:
    for excess in (factor * LIMITS.update_factor, 1 / factor / LIMITS.update_factor):
        assert len(memorizes_only(trained(excess=excess), LIMITS)) == count


def test_memorizes_only_before_the_end_only_where_nothing_is_learned() -> None:
    flat = np.full(250, LN10)
    one(memorizes_only(trained(ended=False, losses=flat), LIMITS), "note")
    assert memorizes_only(trained(ended=False), LIMITS) == []


@pytest.mark.parametrize(("factor", "count"), [(0.999, 1), (1.001, 0)])
def test_losses_far_above_chance_speak_of_steps_that_are_too_long(factor: float, count: int) -> None:
    """lr 0.09 with SGD on CIFAR-10: the first updates were of the usual size, the loss stayed at 4.8."""
    losses = np.full(500, factor * _HIGHEST * LN10)
    losses[:250] = 9.0
    assert len(memorizes_only(trained(losses=losses), LIMITS)) == count


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_memorizes_only_a_training_of_hardly_a_step_is_judged_too(steps: int) -> None:
    assert len(memorizes_only(trained(losses=np.full(steps, LN10)), LIMITS)) == 1


@pytest.mark.parametrize("facts", [None, preflight(memorization=None), heart(0.95)])
def test_memorizes_only_without_knowing_them_by_heart_it_is_quiet(facts: Any) -> None:
    assert memorizes_only(trained(preflight=facts), LIMITS) == []


@pytest.mark.parametrize(
    ("train", "val", "confidence"),
    [(0.1, 0.3, [0.75]), (0.1, 0.1, [0.25]), (0.3, 0.3, []), (0.3, 0.1, [])],
    ids=["lost in training", "nothing anywhere", "found in both", "found in training"],
)
def test_memorizes_only_accuses_labels_by_evidence_of_their_own(
    train: float, val: float, confidence: list[float]
) -> None:
    signal = LabelSignal(train, val, val, 256)
    found = memorizes_only(trained(preflight=replace(heart(1.0), signal=signal)), LIMITS)
    assert [each.confidence for each in found] == confidence


def test_memorizes_only_without_evidence_is_second_to_the_symptom() -> None:
    """No normalization and dropout learn slowly: labels are right."""
    at_chance = [*memorizes_only(trained(), LIMITS), *learned(trained(val_images=1000), LIMITS)]
    said = verdict(at_chance)
    assert (said.cause, said.second_cause) == ("not_learning", "labels_do_not_match")


def test_memorizes_only_unknown_updates_report_nothing() -> None:
    assert memorizes_only(trained(snapshots=[]), LIMITS) == []
    assert memorizes_only(trained(excess=NAN), LIMITS) == []
