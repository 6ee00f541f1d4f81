"""Classes in a batch against a shuffled batch of the same size."""

from __future__ import annotations

import pytest

from hpo.checks.preflight import LabelFacts
from hpo.checks.rules.batch_composition import batch_composition
from tests.helpers.observed import LIMITS, one, preflight, seen


@pytest.mark.parametrize("size", [1, 2, 4, 8, 64])
def test_batch_composition_shuffled_batches_of_any_size_are_mixed(size: int) -> None:
    expected = 10 * (1 - 0.9**size)
    classes = [round(expected)] * 20
    assert batch_composition(seen(batch_classes=classes, batch_labels=size), LIMITS) == []


def test_batch_composition_sorted_batches_are_not() -> None:
    found = one(batch_composition(seen(batch_classes=[1] * 20, batch_labels=64), LIMITS), "warn")
    assert found.cause == "batch_composition" and found.remedy.change == {"code": "shuffle_batches"}
    assert "have a single class" in found.message and "10.0" in found.message


def test_sorted_images_show_few_classes_before_training_too() -> None:
    facts = preflight(labels=LabelFacts((256,) + (0,) * 9, 0, 0))
    one(batch_composition(seen(preflight=facts, batch_classes=[1] * 20, batch_labels=64), LIMITS), "warn")


@pytest.mark.parametrize(("classes", "found"), [([], 0), ([1] * 4, 0), ([1] * 5, 1)])
def test_batch_composition_a_handful_of_batches_reports_nothing(classes: list[int], found: int) -> None:
    assert len(batch_composition(seen(batch_classes=classes), LIMITS)) == found


def test_batch_composition_rare_classes_are_not_in_every_batch() -> None:
    few = {"batch_classes": [3] * 6, "batch_labels": 64}
    one(batch_composition(seen(**few), LIMITS), "warn", "batch_composition")
    assert batch_composition(seen(**few, class_counts=[365, 4, 3, 3, 3, 2, 1, 1, 1, 1]), LIMITS) == []
    even = {**few, "class_counts": [38] * 10}
    one(batch_composition(seen(**even), LIMITS), "warn", "batch_composition")
