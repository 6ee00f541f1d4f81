"""Do the weights move at all?"""

from __future__ import annotations

import math

from hpo.checks.base import Finding
from hpo.checks.observations import Observations, Snapshot
from hpo.checks.remedies import fix
from hpo.spec.thresholds import Thresholds

_LEAST_STEPS = 20


def no_update(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Losses come in, but no step changes a weight."""
    if seen.steps < _LEAST_STEPS:
        return []
    known = [ratio for shot in seen.snapshots if math.isfinite(ratio := _largest_ratio(shot))]
    if seen.optimizer_steps == 0:
        message = f"{seen.steps} losses were reported, and optimizer.step() was never called"
    elif len(known) >= 2 and max(known) == 0:
        message = f"no weight has changed in {seen.optimizer_steps} steps"
    elif len(known) >= 2 and _flows(seen) and not any(map(_has_gradient, seen.snapshots)):
        message = f"no weight had a gradient when optimizer.step() was called, in {len(known)} looks"
    else:
        return []
    return [
        Finding(
            "no_update",
            "warn",
            0.0,
            0.0,
            message,
            fix("call_step", "call zero_grad, backward and step in this order, with a learning rate above 0"),
            step=seen.steps - 1,
            cause="no_update",
            confidence=0.95,
        )
    ]


def _largest_ratio(shot: Snapshot) -> float:
    ratios = [layer.update_ratio for layer in shot.layers if math.isfinite(layer.update_ratio)]
    return max(ratios, default=math.nan)


def _flows(seen: Observations) -> bool:
    """Whether backward gave gradients before training."""
    return seen.preflight is not None and _has_gradient(seen.preflight.layers)


def _has_gradient(shot: Snapshot) -> bool:
    return any(layer.gradient_norm > 0 for layer in shot.layers)
