"""Did a loss that should fall end far above where it began? For tasks of any unit.

`exploding_loss` does the same for the cross-entropy of classes, whose scale is known.
"""

from __future__ import annotations

import numpy as np

from hpo.checks.base import warn
from hpo.checks.facts import Fact, facts
from hpo.checks.observations import Observations
from hpo.checks.remedies import lower_lr
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy

_FIRST, _LAST = 3, 20
_LEAST_STEPS = 40
_RISEN = 2.0
"""Times the first losses."""


def risen_loss(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report, at the end, a loss that has risen: the steps led away from what is right."""
    losses = seen.losses
    if len(losses) < _LEAST_STEPS or Fact.CROSS_ENTROPY in facts(seen) or seen.setup.optimizers > 1:
        return []
    if not np.isfinite(losses).all() or not (losses > 0).all():
        return []
    first, last = float(np.max(losses[:_FIRST])), float(np.median(losses[-_LAST:]))
    if last <= _RISEN * first:
        return []
    message = f"the loss ends at {last:.3g}, {last / first:.2g}x the first losses"
    remedy = lower_lr(seen) if seen.setup.lr else Remedy("lower the rate of the updates, or clip gradients")
    limit = _RISEN * first
    return [warn("risen_loss", last, limit, message, remedy, cause="lr_too_high", confidence=0.6)]
