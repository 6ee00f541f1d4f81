"""Do the weights move at all?"""

from __future__ import annotations

import math

from hpo.checks.base import Finding
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.checks.update_ratio import median_ratio
from hpo.spec.thresholds import Thresholds

_LEAST_STEPS = 20


def no_update(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Losses come in, but no step changes a weight."""
    if seen.steps < _LEAST_STEPS:
        return []
    known = [ratio for ratio in map(median_ratio, seen.snapshots) if math.isfinite(ratio)]
    if seen.optimizer_steps == 0:
        message = f"{seen.steps} losses were reported, and optimizer.step() was never called"
    elif len(known) >= 2 and max(known) == 0:
        message = f"no weight has changed in {seen.optimizer_steps} steps"
    else:
        return []
    return [
        Finding(
            "no_update",
            "warn",
            0.0,
            0.0,
            message,
            fix("call_step", "call optimizer.step() after backward, with a learning rate above 0"),
            step=seen.steps - 1,
            cause="no_update",
            confidence=0.95,
        )
    ]
