"""Do activations keep their scale from layer to layer in the untrained network?

Source: CS231n lecture 6, weight initialization: weights of 0.01 shrink them to nothing in ten layers,
large weights saturate or explode them; Xavier's and He's initialization keep their standard deviation.
"""

from __future__ import annotations

from hpo.checks.base import note
from hpo.checks.observations import Observations
from hpo.checks.remedies import better_start
from hpo.config.thresholds import Thresholds
from hpo.records import Finding


def activation_scale(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report the first layer whose activations hardly vary or are huge."""
    assert seen.preflight is not None
    hidden = seen.preflight.layers.hidden
    small = next((layer for layer in hidden if layer.std < limits.activation_std_low), None)
    layer = small or next((layer for layer in hidden if layer.std > limits.activation_std_high), None)
    if layer is None:
        return []
    what = "hardly vary" if small else "are huge"
    return [
        note(
            "activation_scale",
            layer.std,
            limits.activation_std_low if small else limits.activation_std_high,
            f"activations {what}: their standard deviation is {layer.std:.2g}",
            better_start(seen),
            layer=layer.name,
            cause="bad_init",
            confidence=0.6,
        )
    ]
