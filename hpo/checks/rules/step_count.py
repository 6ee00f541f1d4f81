"""Are there enough steps? A few dozen updates cannot train a network, whatever the batch size."""

from __future__ import annotations

from hpo.checks.base import warn
from hpo.checks.observations import Observations
from hpo.config.thresholds import Thresholds
from hpo.counting import counted
from hpo.records import Finding, Remedy

_FEW = 50


def step_count(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report a training of too few steps, where its length is known."""
    total = seen.setup.total_steps
    if total is None or total >= _FEW:
        return []
    return [
        warn(
            "step_count",
            float(total),
            float(_FEW),
            f"the whole training has only {counted(total, 'step')}",
            Remedy("use batch_size: 64, or more epochs", {"batch_size": 64}),
            cause="batch_size",
            confidence=0.85,
        )
    ]
