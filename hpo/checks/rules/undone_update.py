"""Is what a step changes still there before the next? Coarse weights, or a copy put back, take it away.

Source: Gupta et al. 2015, Deep learning with limited numerical precision: rounded to the nearest value that a
coarse format has, small updates are lost altogether.
"""

from __future__ import annotations

import math
import statistics

from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.checks.rules.update_ratio import median_ratio
from hpo.config.thresholds import Thresholds
from hpo.records import Finding

_KEPT = 0.2
_SMALL = 0.1
"""A step that is longer, relative to the weights, may rightly be taken back by a limit on their norm."""


def undone_update(seen: Observations, limits: Thresholds) -> list[Finding]:
    """The share of a step's change that is kept, in the median of the steps that were audited."""
    known = [audit.kept for audit in seen.audits if math.isfinite(audit.kept)]
    if not known or not seen.snapshots:
        return []
    kept = statistics.median(known)
    if kept >= _KEPT or not median_ratio(seen.snapshots[0]) < _SMALL:
        return []
    return [
        Finding(
            "undone_update",
            "warn",
            kept,
            _KEPT,
            f"{max(0.0, 1 - kept):.0%} of what a step changes is gone before the next one",
            fix("call_step", "keep weights in fp32, and let nothing but optimizer.step() change them"),
            step=seen.audits[-1].step,
            cause="no_update",
            confidence=0.95,
        )
    ]
