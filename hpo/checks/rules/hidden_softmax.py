"""Is there a softmax between layers? Its units share a total of 1, so signals shrink in each layer."""

from __future__ import annotations

from hpo.checks.base import warn
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding
from hpo.text import counted


def hidden_softmax(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report hidden layers that are followed by a softmax."""
    assert seen.preflight is not None
    inside = [layer for layer in seen.preflight.layers.hidden if layer.nonlinearity == "Softmax"]
    if not inside:
        return []
    where = "a hidden layer" if len(inside) == 1 else counted(len(inside), "hidden layer")
    return [
        warn(
            "hidden_softmax",
            float(len(inside)),
            0.0,
            f"softmax is the activation of {where}: signals and gradients shrink there",
            fix("replace_hidden_activation", "use relu between layers; softmax belongs in the loss"),
            layer=inside[0].name,
            cause="vanishing_gradients",
            confidence=0.9,
        )
    ]
