"""Momentum m makes steps 1 / (1 - m) times as long in the end: a thousand times at 0.999."""

from __future__ import annotations

import math

from hpo.checks.observations import Observations
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy

_EXTREME = 0.99
"""Sutskever et al. 2013 go to 0.999 only with learning rates lowered to match, over far longer trainings."""


_AVERAGING = ("adam", "nadam", "radam", "lion")
"""Optimizers whose momentum is an average of gradients; in the others it adds them up."""


def momentum(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Of any optimizer; worth a warning if it remembers more steps than there are, else a note."""
    value = seen.setup.momentum
    if value <= _EXTREME:
        return []
    memory = 1 / (1 - value) if value < 1 else math.inf
    longer = f"{memory:.0f} times as long as the learning rate says" if value < 1 else "ever longer"
    if seen.setup.optimizer.startswith(_AVERAGING) and value < 1:
        longer = f"the mean of the last {memory:.0f} gradients"
    total = seen.setup.total_steps
    return [
        Finding(
            "momentum",
            "warn" if total is not None and memory > total else "note",
            value,
            _EXTREME,
            f"momentum {value:g} makes steps {longer}",
            Remedy("lower momentum to 0.9", {"momentum": 0.9}),
            cause="momentum_too_high",
            confidence=0.7,
        )
    ]
