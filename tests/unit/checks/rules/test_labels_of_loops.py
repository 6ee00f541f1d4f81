"""Rare classes, several labels and small logits, as loops of other programs show them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hpo.checks.data_facts import DataFacts, Dependence
from hpo.checks.loss_facts import LossFacts, LossTerm, Normalization
from hpo.checks.observations import Observations
from hpo.checks.rules.class_recall import class_recall
from hpo.checks.rules.loss_kind import kind_of_loss
from hpo.checks.rules.several_labels import several_labels
from hpo.checks.rules.unrelated_labels import unrelated_labels
from tests.helpers.observed import LIMITS, audit, epochs, one, seen, setup

RARE = Dependence(largest=0.99, recalls=(1.0, 0.0), counts=(990, 10))


def observed(found: Dependence, kind: str = "bce", **more: Any) -> Observations:
    audits = [audit(step, kind=kind, output=(64, 1), input=(64, 8)) for step in range(3)]
    stated = replace(setup(), classes=0, task=None)
    return seen(**{"setup": stated, "audits": audits, "data": DataFacts(dependence=found), **more})


def test_class_recall_a_rare_class_of_one_logit_is_never_named() -> None:
    found = one(class_recall(observed(RARE), LIMITS), "warn", "class_imbalance")
    assert found.message.startswith("99.0% of the training labels") and found.confidence == 0.8
    assert class_recall(observed(RARE, kind="mse"), LIMITS) == []
    one(class_recall(observed(replace(RARE, recalls=(0.98, 0.9))), LIMITS), "pass", "")
    one(class_recall(observed(replace(RARE, counts=(998, 2))), LIMITS), "pass", "")


def test_class_recall_labels_that_are_all_the_same() -> None:
    alike = Dependence(largest=1.0, recalls=(1.0, float("nan")), counts=(500, 0))
    one(class_recall(observed(alike), LIMITS), "warn", "class_imbalance")
    adversaries = replace(setup(), classes=0, task=None, optimizers=2)
    one(class_recall(observed(alike, setup=adversaries), LIMITS), "pass", "")


def test_unrelated_labels_of_rare_classes_cannot_be_told() -> None:
    unknown = Dependence(
        inputs=1.0,
        examples=480,
        first_outputs=1.0,
        first_examples=2000,
        last_outputs=1.0,
        spread=0.5,
        moved=1.0,
    )
    guessing: dict[str, Any] = {"curve": epochs([0.1]), "val_images": 1000}
    one(unrelated_labels(observed(unknown, **guessing), LIMITS), "warn", "labels_do_not_match")
    assert unrelated_labels(observed(replace(unknown, largest=0.99), **guessing), LIMITS) == []


@pytest.mark.parametrize(
    ("kind", "several", "warned"), [("cross_entropy", 0.6, 1), ("cross_entropy", 0.1, 0), ("bce", 0.6, 0)]
)
def test_several_labels_need_a_loss_that_allows_them(kind: str, several: float, warned: int) -> None:
    found = several_labels(observed(Dependence(several=several), kind), LIMITS)
    assert len(found) == warned
    assert not found or one(found, "warn", "wrong_loss").remedy.change == {"code": "use_binary_cross_entropy"}


def test_several_labels_softmax_before_a_binary_entropy() -> None:
    graph = LossFacts(0, (LossTerm("bce", 1, False),), normalizations=(Normalization(1, (64, 1)),))
    shared = observed(Dependence(several=0.6), loss_graphs=[graph])
    one(several_labels(shared, LIMITS), "warn", "softmax_twice")


def test_kind_of_loss_small_logits_are_no_probabilities() -> None:
    small = observed(Dependence(), "bce_of_probabilities")
    one(kind_of_loss(small, LIMITS), "warn", "softmax_twice")
    plain, twice = LossFacts(0, (LossTerm("bce", 1, False),)), LossFacts(0, twice="sigmoid")
    assert kind_of_loss(replace(small, loss_graphs=[plain]), LIMITS) == []
    one(kind_of_loss(replace(small, loss_graphs=[twice]), LIMITS), "warn", "softmax_twice")
