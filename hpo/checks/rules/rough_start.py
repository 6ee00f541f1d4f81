"""Did the first steps damage the network? It may recover and still be worse for it.

Source: Goyal et al. 2017, Accurate, large minibatch SGD: a learning rate that is fine later can do damage in
the first steps, which a warm-up avoids.
"""

from __future__ import annotations

import math

from hpo.checks.base import warn
from hpo.checks.derived import update_excess
from hpo.checks.observations import Observations
from hpo.checks.remedies import lower_lr
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy
from hpo.text import fixed

_STEPS = 20
_ABOVE = 1.5
"""Mean loss of the first steps over ln C; sound programs of benchmarks/diagnosis.py stay below 1.3."""


def rough_start(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report a high mean loss of the first steps after a far too large first update, at the end."""
    excess = update_excess(seen)
    if not seen.ended or seen.steps < 2 * _STEPS or excess is None or excess < limits.update_factor:
        return []
    level = float(seen.losses[:_STEPS].mean()) / math.log(seen.classes)
    if not level > _ABOVE:
        return []
    lower = lower_lr(seen)
    return [
        warn(
            "rough_start",
            level,
            _ABOVE,
            f"the first {_STEPS} steps drove the loss to {fixed(level, 1)}x ln C; the first update was "
            f"{excess:.0f}x the usual size",
            Remedy(f"{lower.text}, or add warmup_epochs", lower.change),
            step=_STEPS,
            cause="lr_too_high",
            confidence=0.7,
        )
    ]
