"""Do some layers never change while others learn, although the optimizer has them all?"""

from __future__ import annotations

import math
from collections.abc import Sequence

from hpo.checks.base import warn
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, LayerStatistics, Remedy
from hpo.text import counted

_AFTER = 8
"""Steps after which a branch that starts at zero (residual or classifier) has opened."""
_MIN_SNAPSHOTS = 2
_ALIVE = 0.5


def still_layers(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report a layer whose gradient or change was exactly 0 in every snapshot."""
    snapshots = [shot for shot in seen.snapshots if shot.step >= _AFTER and shot.lr > 0]
    if len(snapshots) < _MIN_SNAPSHOTS or seen.preflight is None:
        return []
    reported = {*seen.setup.frozen, *seen.setup.unoptimized, *seen.preflight.without_gradient}
    start = {layer.name: layer for layer in seen.preflight.layers.layers}
    by_name: dict[str, list[LayerStatistics]] = {}
    for shot in snapshots:
        for layer in shot.layers:
            by_name.setdefault(layer.name, []).append(layer)
    if not any(layer.update_ratio > 0 for layers in by_name.values() for layer in layers):
        return []
    last = by_name.get(next(reversed(start), ""), [])
    is_cut = all(layer.gradient_norm == 0 for layer in last)
    ends = seen.preflight.layers.output_activation if is_cut else ""
    for name, layers in by_name.items():
        alive = name in start and start[name].dead < _ALIVE and start[name].gradient_norm >= 0
        if not alive or f"{name}.weight" in reported:
            continue
        found = _judge(layers, ends)
        if found is not None:
            cause, message, remedy = found
            if cause == "vanishing_gradients" and _is_dead_behind(seen, name):
                cause = "dead_units"
            return [
                warn(
                    "still_layers",
                    0.0,
                    0.0,
                    f"{message}, in {counted(len(snapshots), 'snapshot')}",
                    remedy,
                    step=snapshots[-1].step,
                    layer=name,
                    cause=cause,
                    confidence=0.85,
                )
            ]
    return []


def _is_dead_behind(seen: Observations, name: str) -> bool:
    """Whether no unit of a layer behind is alive: no gradient passes it."""
    hidden = seen.snapshots[-1].hidden if seen.snapshots else ()
    place = next((layer.position for layer in hidden if layer.name == name), -1)
    return any(
        layer.dead == 1 and layer.position > place and not layer.saturated > _ALIVE for layer in hidden
    )


def _judge(layers: Sequence[LayerStatistics], ends: str) -> tuple[str, str, Remedy] | None:
    """Judge a layer; ``ends`` is the activation after the last layer, if no gradient passes it."""
    if all(layer.gradient_norm == 0 for layer in layers):
        remedy = fix("replace_hidden_activation", "use an activation with a derivative: rounding has none")
        if ends:
            text = f"drop {ends} after the last layer: its outputs can be no others, and no gradient passes"
            remedy = fix("remove_output_activation", text)
        return (
            "vanishing_gradients",
            "its gradient is exactly 0, although its units were alive at first",
            remedy,
        )
    if all(layer.update_ratio == 0 for layer in layers):
        if all(math.isnan(layer.gradient_norm) for layer in layers):
            remedy = fix("reattach", "find what detaches this layer once training has begun")
            return "detached", "no gradient has reached it since training began", remedy
        remedy = fix("unfreeze", "give its parameter group a learning rate and keep requires_grad on")
        return "frozen_parameters", "it has a gradient but never changes", remedy
    return None
