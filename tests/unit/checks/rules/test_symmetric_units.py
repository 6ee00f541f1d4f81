"""Layers whose units all start alike."""

from __future__ import annotations

import pytest

from hpo.checks.rules.symmetric_units import symmetric_units
from tests.helpers.observed import LIMITS, one, preflight, seen

NAMES = tuple(f"conv{number}" for number in range(1, 6))


def test_symmetric_units_none_passes() -> None:
    assert "start out different" in one(symmetric_units(seen(), LIMITS), "pass", "").message


@pytest.mark.parametrize(
    ("count", "words"),
    [(1, "in conv1"), (3, "in conv1, conv2, conv3"), (5, "conv1, conv2, conv3 and 2 more layers")],
)
def test_symmetric_units_one_layer_is_enough(count: int, words: str) -> None:
    facts = preflight(identical_units=NAMES[:count])
    found = one(symmetric_units(seen(preflight=facts), LIMITS), "warn", "symmetric_units")
    assert (found.value, found.threshold, found.layer) == (count, 0.0, "conv1")
    assert found.message.endswith(words) and found.remedy.change == {"initializer": "he"}
