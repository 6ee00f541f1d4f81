"""Are the outputs logits? Bounded or one-sided outputs cannot express certainty to cross-entropy."""

from __future__ import annotations

import math

from hpo.checks.base import passed, warn
from hpo.checks.observations import Observations
from hpo.checks.preflight import LogitFacts
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding

_ALIKE = 1e-3
"""Outputs that hardly differ between classes come from equal weights and are not bounded."""
_SEVERAL = 8
"""Classes whose outputs are not all positive by chance, unless some are exactly 0: 1 in 2^8."""
_ROW_SUM = 0.02
"""How far from 1 the sum of probabilities in bf16 may be."""

_RANGES = {
    **dict.fromkeys(("Sigmoid", "Hardsigmoid", "Softmax"), (0.0, 1.0)),
    **dict.fromkeys(("Tanh", "Hardtanh", "Softsign"), (-1.0, 1.0)),
    "ReLU": (0.0, math.inf),
    "ReLU6": (0.0, 6.0),
    "Softplus": (0.0, math.inf),
}
"""What an activation can return; the last module that ran need not be the end of the network."""


def output_layer(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Check the outputs and the last layer of the untrained network."""
    assert seen.preflight is not None
    logits = seen.preflight.logits
    message = _flaw(logits, seen.preflight.layers.output_activation, seen.classes)
    if not message:
        if math.isnan(logits.low):
            return []
        text = f"outputs range from {logits.low:.2f} to {logits.high:.2f}"
        return [passed("output_layer", logits.high, 0.0, text)]
    remedy = fix(
        "remove_output_activation", "end the network with a linear layer: cross_entropy takes logits"
    )
    return [warn("output_layer", logits.low, 0.0, message, remedy, cause="softmax_twice", confidence=0.95)]


def _is_within(logits: LogitFacts, activation: str) -> bool:
    """Whether the outputs are what the activation can return."""
    low, high = _RANGES.get(activation, (-math.inf, math.inf))
    return low <= logits.low and logits.high <= high


def _flaw(logits: LogitFacts, activation: str, classes: int) -> str:
    if logits.low >= 0 and abs(logits.row_sum_low - 1) < _ROW_SUM and abs(logits.row_sum_high - 1) < _ROW_SUM:
        return "the outputs add up to 1: they are probabilities, not logits"
    if activation and _is_within(logits, activation):
        return f"the network ends with {activation}, which bounds its outputs; logits must be unbounded"
    if classes < _SEVERAL and logits.low != 0:
        return ""
    if logits.low >= 0 and logits.high > 0 and logits.between_classes > _ALIKE * logits.high:
        return f"no output is negative (from {logits.low:.2g} to {logits.high:.2g})"
    return ""
