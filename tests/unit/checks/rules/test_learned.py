"""Validation accuracy against guessing, whose scatter is binomial."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hpo.checks.chance import Chance
from hpo.checks.observations import Observations
from hpo.checks.rules.learned import learned
from hpo.checks.verdict import verdict
from tests.helpers.observed import LIMITS, epochs, one, seen, setup


def counted(best: float, *val: int, predicted: tuple[int, ...] = (), **changes: Any) -> Observations:
    """A training on these classes whose last epoch is the best."""
    known = setup(classes=len(val), train_class_counts=tuple(9 * each for each in val), val_class_counts=val)
    first, last = epochs([0.1, best])
    curve = [first, replace(last, val_predicted_counts=predicted)]
    return seen(setup=known, curve=curve, val_images=sum(val), **changes)


def test_learned_just_below_and_just_above() -> None:
    limit = Chance(0.1, 1000).limit(LIMITS.chance_sigmas)
    found = one(learned(seen(curve=epochs([0.1, limit - 1e-6])), LIMITS), "warn", "not_learning")
    assert f"{limit:.3f}" in found.message and "guessing gives 0.100" in found.message
    assert found.remedy.change
    one(learned(seen(curve=epochs([0.1, limit + 1e-6])), LIMITS), "pass")


@pytest.mark.parametrize(
    ("accuracy", "severities"), [(0.11, ["warn"]), (0.1, ["warn"]), (0.2, []), (0.5, ["pass"])]
)
def test_learned_of_an_unknown_number_of_images_judges_clear_cases(
    accuracy: float, severities: list[str]
) -> None:
    found = learned(seen(val_images=None, curve=epochs([accuracy])), LIMITS)
    assert [each.severity for each in found] == severities


@pytest.mark.parametrize("images", [500, 50])
def test_learned_noise_of_unequal_classes_is_not_healthy(images: int) -> None:
    """95 % right is what always predicting the most frequent class gives."""
    common = images * 95 // 100
    facts = counted(common / images, common, images - common, predicted=(images, 0))
    found = one(learned(facts, LIMITS), "warn", "class_imbalance")
    constant = f"always predicting the most frequent class gives {common / images:.3f}"
    assert f"{constant}; at the end it predicts class 0 for every example" in found.message
    assert verdict([found]).cause == "class_imbalance" and found.threshold <= 1


def test_learned_unequal_classes_told_apart_pass() -> None:
    found = one(learned(counted(0.996, 475, 25, predicted=(474, 26)), LIMITS), "pass")
    assert found.message == "reached 0.996; always predicting the most frequent class gives 0.950"


def test_learned_rare_class_told_apart_passes_below_the_share_of_the_other() -> None:
    """Under class weights accuracy falls below that of naming the frequent class only."""
    facts = counted(0.90, 1200, 100, predicted=(1100, 200))
    last = replace(facts.curve[-1], val_balanced_accuracy=0.85)
    found = one(learned(replace(facts, curve=[facts.curve[0], last]), LIMITS), "pass")
    assert "reached a balanced accuracy of 0.850; guessing gives 0.500" in found.message
    guessed = replace(facts.curve[-1], val_balanced_accuracy=0.53)
    one(learned(replace(facts, curve=[facts.curve[0], guessed]), LIMITS), "warn")


def test_learned_one_class_named_in_hpos_own_training_has_fields_as_remedy() -> None:
    facts = counted(0.95, 950, 50, predicted=(1000, 0))
    settings = {**facts.setup.settings, "sampling": "shuffled", "class_weights": "none"}
    found = one(
        learned(replace(facts, setup=replace(facts.setup, settings=settings)), LIMITS),
        "warn",
        "class_imbalance",
    )
    assert found.remedy.change == {"class_weights": "balanced"}


@pytest.mark.parametrize("right", [12, 11])
def test_learned_few_images_tell_nothing(right: int) -> None:
    found = one(learned(counted(right / 12, 6, 6), LIMITS), "warn", "few_validation_images")
    assert found.message == (
        f"12 validation examples are too few to tell an accuracy of {right / 12:.3f} from guessing; "
        "guessing gives 0.500"
    )
    assert "chance" not in found.message and found.threshold == 1
    assert found.remedy.text == f"validate on {15 if right == 12 else 20} examples or more"


def test_learned_one_class_of_equal_ones_is_named() -> None:
    found = one(learned(counted(0.1, *(100,) * 10, predicted=(0,) * 9 + (1000,)), LIMITS), "warn")
    assert found.cause == "not_learning" and found.confidence == 0.4
    assert found.message.endswith("guessing gives 0.100; at the end it predicts class 9 for every example")


def test_learned_names_the_predicted_class_where_names_are_known() -> None:
    always = counted(0.1, *(100,) * 10, predicted=(0,) * 9 + (1000,))
    named = replace(always, setup=replace(always.setup, class_names=tuple("abcdefghij")))
    assert "it predicts class j for every example" in one(learned(named, LIMITS), "warn").message


def test_learned_below_the_most_frequent_class_names_others_too() -> None:
    """95 % are of one class; 0.87 with some of the others found is not guessing."""
    facts = seen(setup=setup(classes=2, val_class_counts=(950, 50), settings={}), curve=epochs([0.87]))
    assert learned(facts, LIMITS) == []
