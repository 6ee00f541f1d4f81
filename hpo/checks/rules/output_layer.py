"""Are the outputs logits? Bounded or one-sided ones before cross-entropy cannot say that they are sure."""

from __future__ import annotations

import math

from hpo.checks.observations import LogitFacts, Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding

_ALIKE = 1e-3
"""Outputs that hardly differ between classes are not bounded, but come from equal weights."""
_ROW_SUM = 0.02
"""How far from 1 probabilities in bf16 may add up to."""


def output_layer(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Look at the untrained network's outputs, and at its last layer."""
    assert seen.preflight is not None
    message = _what_is_wrong(seen.preflight.logits, seen.preflight.layers.output_activation)
    logits = seen.preflight.logits
    if not message:
        if math.isnan(logits.low):
            return []
        text = f"outputs go from {logits.low:.2f} to {logits.high:.2f}"
        return [Finding("output_layer", "pass", logits.high, 0.0, text)]
    remedy = fix(
        "remove_output_activation", "end the network with a linear layer: cross_entropy takes logits"
    )
    return [
        Finding(
            "output_layer",
            "warn",
            logits.low,
            0.0,
            message,
            remedy,
            cause="softmax_twice",
            confidence=0.95,
        )
    ]


def _what_is_wrong(logits: LogitFacts, activation: str) -> str:
    if logits.low >= 0 and abs(logits.row_sum_low - 1) < _ROW_SUM and abs(logits.row_sum_high - 1) < _ROW_SUM:
        return "the outputs add up to 1: they are probabilities, not logits"
    if activation:
        return f"the network ends with {activation}: its outputs are not free, as logits must be"
    if logits.low >= 0 and logits.high > 0 and logits.between_classes > _ALIKE * logits.high:
        return f"no output is negative (from {logits.low:.2g} to {logits.high:.2g})"
    return ""
