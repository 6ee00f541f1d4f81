"""Labels out of range, and classes that are not there."""

from __future__ import annotations

import pytest

from hpo.checks.preflight import LabelFacts
from hpo.checks.rules.labels import labels
from tests.helpers.observed import LIMITS, one, preflight, seen, setup


@pytest.mark.parametrize(("lowest", "highest"), [(-1, 9), (0, 10), (1, 10)])
def test_labels_out_of_range_is_fatal(lowest: int, highest: int) -> None:
    facts = preflight(labels=LabelFacts((25,) * 10, lowest, highest))
    found = one(labels(seen(preflight=facts), LIMITS), "fatal", "bad_labels")
    assert f"{lowest} to {highest}" in found.message and found.remedy.change == {"code": "fix_labels"}


def test_labels_a_class_may_be_missing_from_a_few_labels_only() -> None:
    few, many = (1,) * 9 + (0,), (20,) * 9 + (0,)
    one(labels(seen(preflight=preflight(labels=LabelFacts(few, 0, 8))), LIMITS), "pass")
    found = one(labels(seen(preflight=preflight(labels=LabelFacts(many, 0, 8))), LIMITS), "warn")
    assert found.cause == "class_imbalance" and "class 9" in found.message


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ((30, 30, 0), "no examples of class wren among 60 labels"),
        ((60, 0, 0), "no examples of classes robin, wren among 60 labels"),
        ((58, 1, 1), "97% of 60 labels are class eel"),
    ],
)
def test_labels_names_classes_where_names_are_known(counts: tuple[int, ...], message: str) -> None:
    named = setup(classes=3, class_names=("eel", "robin", "wren"))
    observed = seen(setup=named, preflight=preflight(labels=LabelFacts(counts, 0, 2)))
    assert one(labels(observed, LIMITS), "warn").message == message


@pytest.mark.parametrize(
    ("train", "val", "severity"),
    [
        ((50,) * 4 + (0,), (50,) * 4 + (0,), "note"),
        ((50,) * 4 + (0,), (40,) * 5, "warn"),
        ((50, 0, 50, 50, 50), (50, 0, 50, 50, 50), "warn"),
        ((100, 100, 0, 0, 0), (100, 100, 0, 0, 0), "warn"),
        ((50,) * 4 + (0,), None, "warn"),
    ],
    ids=["unused", "in validation", "in between", "most", "unknown"],
)
def test_labels_asks_about_last_classes_that_no_split_has(
    train: tuple[int, ...], val: tuple[int, ...] | None, severity: str
) -> None:
    facts = preflight(labels=LabelFacts(train, 0, 3), val_labels=val and LabelFacts(val, 0, 3))
    found = one(labels(seen(setup=setup(classes=5), preflight=facts), LIMITS), severity, "class_imbalance")
    assert ("fewer classes than outputs?" in found.message) == (severity == "note")
