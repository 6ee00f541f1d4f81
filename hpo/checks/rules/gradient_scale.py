"""Do gradients reach the first layer at the scale they left the last?

Source: Glorot & Bengio 2010; CS231n lecture 6: where activations shrink, so do the gradients of the weights.
"""

from __future__ import annotations

import math

from hpo.checks.base import note
from hpo.checks.derived import gradient_ratio
from hpo.checks.observations import Observations
from hpo.checks.remedies import add_norm
from hpo.config.thresholds import Thresholds
from hpo.records import Finding


def gradient_scale(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Compare the gradient of the first layer with that of the last, each over its weights' norm."""
    latest, found = seen.latest, gradient_ratio(seen)
    if latest is None or found is None or found[1] <= limits.gradient_ratio:
        return []
    first, ratio = found
    if math.isnan(ratio):
        message = "no gradient reaches any layer"
    elif math.isinf(ratio):
        message = "no gradient reaches the first layer"
    else:
        message = f"relative to the weights, the first layer's gradient is {ratio:.0e} times below the last's"
    return [
        note(
            "gradient_scale",
            math.inf if math.isnan(ratio) else ratio,
            limits.gradient_ratio,
            message,
            add_norm(seen),
            step=max(latest.step, 0),
            layer=first.name,
            cause="vanishing_gradients",
            confidence=0.65,
        )
    ]
