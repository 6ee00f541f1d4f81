"""Do gradients arrive at the first layer as they left the last?

Source: Glorot & Bengio 2010; CS231n lecture 6: where activations shrink, so do the gradients of the weights.
"""

from __future__ import annotations

import math

from hpo.checks.observations import Observations
from hpo.checks.remedies import add_norm
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, LayerStatistics

_LEAST_LAYERS = 3


def gradient_scale(seen: Observations, limits: Thresholds) -> list[Finding]:
    """The gradient of the first layer against that of the last, each over its weights' norm."""
    latest = seen.latest
    known = [(layer, _relative(layer)) for layer in latest.layers] if latest else []
    known = [(layer, ratio) for layer, ratio in known if math.isfinite(ratio)]
    if latest is None or len(known) < _LEAST_LAYERS:
        return []
    (first, low), (_, high) = known[0], known[-1]
    if low == 0 and high == 0:
        message = "no gradient arrives at any layer"
    elif low == 0:
        message = "no gradient arrives at the first layer"
    elif high / low > limits.gradient_ratio:
        message = (
            f"the first layer's gradient is {high / low:.0e} times smaller than the last's, over the weights"
        )
    else:
        return []
    return [
        Finding(
            "gradient_scale",
            "note",
            high / low if low else math.inf,
            limits.gradient_ratio,
            message,
            add_norm(seen),
            step=max(latest.step, 0),
            layer=first.name,
            cause="vanishing_gradients",
            confidence=0.65,
        )
    ]


def _relative(layer: LayerStatistics) -> float:
    return layer.gradient_norm / layer.weight_norm if layer.weight_norm else math.nan
