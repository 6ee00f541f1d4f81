"""Is momentum too high? Momentum m makes steps up to 1 / (1 - m) times as long: 1000 times at 0.999."""

from __future__ import annotations

import math

from hpo.checks.base import note, warn
from hpo.checks.observations import Observations
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy
from hpo.text import counted

_EXTREME = 0.99
"""Sutskever et al. 2013 use 0.999 only with learning rates lowered to match, in far longer trainings."""
_AVERAGING = ("adam", "nadam", "radam", "lion")
"""Optimizers whose momentum averages gradients; the others add them up."""


def momentum(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Warn if momentum spans more steps than the training has; else a note."""
    value = seen.setup.momentum
    if value <= _EXTREME:
        return []
    memory = 1 / (1 - value) if value < 1 else math.inf
    longer = f"{memory:.0f} times as long as the learning rate suggests" if value < 1 else "ever longer"
    if seen.setup.optimizer.startswith(_AVERAGING) and value < 1:
        longer = f"the mean of the last {counted(round(memory), 'gradient')}"
    total = seen.setup.total_steps
    return [
        (warn if total is not None and memory > total else note)(
            "momentum",
            value,
            _EXTREME,
            f"momentum {value:g} makes steps {longer}",
            Remedy("lower momentum to 0.9", {"momentum": 0.9}),
            cause="momentum_too_high",
            confidence=0.7,
        )
    ]
