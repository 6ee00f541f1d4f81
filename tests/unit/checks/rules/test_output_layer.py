"""Outputs that are not logits."""

from __future__ import annotations

import pytest

from hpo.checks.observations import Observations
from hpo.checks.preflight import LogitFacts
from hpo.checks.rules.output_layer import _ROW_SUM, output_layer
from tests.helpers.observed import LIMITS, NAN, layer, one, preflight, seen, snapshot


def outputs(low: float, high: float, sums: tuple[float, float] = (0.0, 0.3), last: str = "") -> Observations:
    shot = snapshot(layer("conv1"), layer("classifier", nonlinearity=last))
    return seen(preflight=preflight(logits=LogitFacts(low, high, *sums, 0.1, 0.1), layers=shot))


@pytest.mark.parametrize(
    ("low", "high", "last"), [(-0.5, 0.6, ""), (-1e-6, 3.0, "LinearActivation"), (0.0, 0.0, "")]
)
def test_output_layer_free_outputs_pass(low: float, high: float, last: str) -> None:
    found = one(output_layer(outputs(low, high, last=last), LIMITS), "pass", "")
    assert f"from {low:.2f} to {high:.2f}" in found.message
    assert (found.value, found.threshold) == (high, 0.0)


def test_output_layer_outputs_that_add_up_to_one_are_probabilities() -> None:
    for sums, words in (
        ((1 - 0.9 * _ROW_SUM, 1 + 0.9 * _ROW_SUM), "probabilities"),
        ((1 - 1.1 * _ROW_SUM, 1.0), "no output is negative (from 0.1 to 0.11)"),
        ((1.0, 1 + 1.1 * _ROW_SUM), "no output is negative"),
    ):
        found = one(output_layer(outputs(0.1, 0.11, sums), LIMITS), "warn", "softmax_twice")
        assert words in found.message and (found.value, found.threshold) == (0.1, 0.0)
        assert found.remedy.change == {"code": "remove_output_activation"}


def test_output_layer_logits_may_add_up_to_one() -> None:
    one(output_layer(outputs(-0.1, 0.5, (1.0, 1.0)), LIMITS), "pass")


@pytest.mark.parametrize("last", ["ReLU", "Sigmoid", "Tanh", "Softmax"])
def test_output_layer_an_activation_at_the_end_is_named(last: str) -> None:
    low = -0.5 if last == "Tanh" else 0.0
    found = one(output_layer(outputs(low, 0.5, last=last), LIMITS), "warn", "softmax_twice")
    assert f"ends with {last}" in found.message


@pytest.mark.parametrize("last", ["ReLU", "Sigmoid", "Tanh", "Softmax"])
def test_output_layer_outputs_beyond_an_activation_are_not_its(last: str) -> None:
    one(output_layer(outputs(-1.5, 0.5, last=last), LIMITS), "pass")


def test_output_layer_outputs_that_are_not_finite_neither_pass_nor_fail() -> None:
    assert output_layer(outputs(NAN, NAN, (NAN, NAN)), LIMITS) == []
