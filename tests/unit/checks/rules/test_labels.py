"""Labels out of range, and classes that are not there."""

from __future__ import annotations

import pytest

from hpo.checks.observations import LabelFacts
from hpo.checks.rules.labels import labels
from tests.helpers.observed import LIMITS, one, preflight, seen


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
