"""Do activations keep their scale from layer to layer in the untrained network?

Source: CS231n lecture 6, weight initialization: with weights of 0.01 they shrink to nothing in ten layers,
with large ones they saturate or explode; with Xavier's and He's they keep their standard deviation.
"""

from __future__ import annotations

from hpo.checks.observations import Observations
from hpo.checks.remedies import better_start
from hpo.config.thresholds import Thresholds
from hpo.records import Finding


def activation_scale(seen: Observations, limits: Thresholds) -> list[Finding]:
    """The first layer whose activations hardly vary, or are huge."""
    assert seen.preflight is not None
    hidden = seen.preflight.layers.hidden
    small = next((layer for layer in hidden if layer.std < limits.activation_std_low), None)
    layer = small or next((layer for layer in hidden if layer.std > limits.activation_std_high), None)
    if layer is None:
        return []
    what = "hardly vary" if small else "are huge"
    return [
        Finding(
            "activation_scale",
            "note",
            layer.std,
            limits.activation_std_low if small else limits.activation_std_high,
            f"activations {what}: their standard deviation is {layer.std:.2g}",
            better_start(seen),
            layer=layer.name,
            cause="bad_init",
            confidence=0.6,
        )
    ]
