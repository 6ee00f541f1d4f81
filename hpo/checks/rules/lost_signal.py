"""Where does the image get lost? Finds a layer with the same outputs for every image."""

from __future__ import annotations

from hpo.checks.base import warn
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding

_ALL = 0.999


def lost_signal(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report the first layer with weights whose outputs are constant although its inputs are not."""
    assert seen.preflight is not None
    varied = seen.preflight.images.std > 0
    for layer in seen.preflight.layers.layers:
        if varied and layer.constant_outputs > _ALL and layer.weight_norm > 0:
            return [
                warn(
                    "lost_signal",
                    layer.constant_outputs,
                    _ALL,
                    "every example gives the same output here, although the inputs differ",
                    fix("reattach", "check what forward does to the inputs before this layer"),
                    layer=layer.name,
                    cause="ignores_input",
                    confidence=0.9,
                )
            ]
        varied = varied and layer.dead <= _ALL
    return []
