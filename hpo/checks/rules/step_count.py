"""Are there enough steps? A few dozen updates cannot train a network, whatever the batch size."""

from __future__ import annotations

import math

from hpo.checks.base import warn
from hpo.checks.facts import Fact, facts
from hpo.checks.observations import Observations
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy
from hpo.text import counted

_FEW = 50
_USUAL_BATCH = 64


def step_count(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report a training of too few steps, where its length is known.

    A loop that hpo did not configure is judged at its end: its epochs may differ in length.
    """
    total, is_own = seen.setup.total_steps, Fact.OWN_LOOP in facts(seen)
    if total is None or (is_own and not seen.ended):
        return []
    total = max(total, seen.steps) if is_own else total
    if total >= _FEW:
        return []
    return [
        warn(
            "step_count",
            float(total),
            float(_FEW),
            f"the whole training has only {counted(total, 'step')}",
            _remedy(seen),
            cause="batch_size",
            confidence=0.85,
        )
    ]


def _remedy(seen: Observations) -> Remedy:
    batch, steps = seen.setup.settings.get("batch_size"), seen.setup.steps_per_epoch
    if batch is None or batch > _USUAL_BATCH or not steps:
        return Remedy(f"use batch_size: {_USUAL_BATCH}, or more epochs", {"batch_size": _USUAL_BATCH})
    epochs = math.ceil(_FEW / steps)
    return Remedy(f"use epochs: {epochs} or more, or more examples", {"epochs": epochs})
