"""Activations of the untrained network that hardly vary, or are huge."""

from __future__ import annotations

import pytest

from hpo.checks.observations import Observations
from hpo.checks.rules.activation_scale import activation_scale
from tests.helpers.observed import LIMITS, NAN, layer, one, preflight, seen, snapshot

LOW, HIGH = LIMITS.activation_std_low, LIMITS.activation_std_high


def spread(*stds: float, last: float = 0.5) -> Observations:
    """Hidden layers of these standard deviations, and a classifier."""
    hidden = [layer(f"conv{number}", std=std) for number, std in enumerate(stds, 1)]
    return seen(preflight=preflight(layers=snapshot(*hidden, layer("classifier", std=last))))


@pytest.mark.parametrize("std", [LOW * 1.001, 0.6, HIGH * 0.999, NAN])
def test_activation_scale_inside_is_quiet(std: float) -> None:
    assert activation_scale(spread(0.6, std), LIMITS) == []


@pytest.mark.parametrize(
    ("std", "limit", "words"), [(LOW * 0.99, LOW, "hardly vary"), (HIGH * 1.01, HIGH, "are huge")]
)
def test_activation_scale_outside_is_a_bad_start(std: float, limit: float, words: str) -> None:
    found = one(activation_scale(spread(0.6, std), LIMITS), "note", "bad_init")
    assert (found.layer, found.value, found.threshold) == ("conv2", std, limit)
    assert words in found.message and f"{std:.2g}" in found.message
    assert found.remedy.change == {"initializer": "he"}


def test_the_first_layer_is_named_and_shrinking_goes_before_growing() -> None:
    assert one(activation_scale(spread(1e4, 0.6, 1e-5, 1e-7), LIMITS), "note").layer == "conv3"


def test_activation_scale_the_classifier_does_not_count() -> None:
    assert activation_scale(spread(0.6, last=1e-9), LIMITS) == []
