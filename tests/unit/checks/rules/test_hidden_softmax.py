"""A softmax between layers."""

from __future__ import annotations

import pytest

from hpo.checks.observations import Observations
from hpo.checks.rules.hidden_softmax import hidden_softmax
from tests.helpers.observed import LIMITS, layer, one, preflight, seen, snapshot


def followed_by(*nonlinearities: str) -> Observations:
    rows = [layer(f"layer{number}", nonlinearity=each) for number, each in enumerate(nonlinearities, 1)]
    return seen(preflight=preflight(layers=snapshot(*rows)))


@pytest.mark.parametrize("last", ["", "Softmax"])
def test_hidden_softmax_a_softmax_at_the_end_is_another_matter(last: str) -> None:
    assert hidden_softmax(followed_by("ReLU", "Sigmoid", last), LIMITS) == []


def test_hidden_softmax_between_layers_it_is_named() -> None:
    found = one(hidden_softmax(followed_by("ReLU", "Softmax", "Softmax", ""), LIMITS), "warn")
    assert (found.cause, found.layer, found.value) == ("vanishing_gradients", "layer2", 2.0)
    assert "2 hidden layers" in found.message
    assert found.remedy.change == {"code": "replace_hidden_activation"}


def test_hidden_softmax_one_is_enough() -> None:
    one(hidden_softmax(followed_by("Softmax", ""), LIMITS), "warn", "vanishing_gradients")
