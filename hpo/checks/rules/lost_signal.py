"""Where does the image get lost? A layer that answers the same to every image, though they differ."""

from __future__ import annotations

from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding

_ALL = 0.999


def lost_signal(seen: Observations, limits: Thresholds) -> list[Finding]:
    """The first layer with weights whose outputs are constant while what the layer before puts out is not."""
    assert seen.preflight is not None
    varied = seen.preflight.images.std > 0
    for layer in seen.preflight.layers.layers:
        if varied and layer.mute > _ALL and layer.weight_norm > 0:
            return [
                Finding(
                    "lost_signal",
                    "warn",
                    layer.mute,
                    _ALL,
                    "every image gives the same output here, though what comes before differs",
                    fix("reattach", "look at what forward does to the images on the way to this layer"),
                    layer=layer.name,
                    cause="ignores_input",
                    confidence=0.9,
                )
            ]
        varied = varied and layer.dead <= _ALL
    return []
