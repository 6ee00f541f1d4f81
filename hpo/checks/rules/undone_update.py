"""Does the change of a step last until the next? Low-precision weights or a restored copy undo it.

Source: Gupta et al. 2015, Deep learning with limited numerical precision: when rounded to the nearest
value of a coarse format, small updates are lost entirely.
"""

from __future__ import annotations

import math
import statistics

from hpo.checks.base import warn
from hpo.checks.derived import median_ratio
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding

_KEPT = 0.2
_SMALL = 0.1
"""A longer step, relative to the weights, may rightly be undone by a limit on their norm."""


def undone_update(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report the share of a step's change that is kept, in the median of the audited steps."""
    known = [audit.kept for audit in seen.audits if math.isfinite(audit.kept)]
    if not known or not seen.snapshots:
        return []
    kept = statistics.median(known)
    if kept >= _KEPT or not median_ratio(seen.snapshots[0]) < _SMALL:
        return []
    return [
        warn(
            "undone_update",
            kept,
            _KEPT,
            f"{max(0.0, 1 - kept):.0%} of the change of a step is gone before the next step",
            fix("call_step", "keep weights in fp32, and let only optimizer.step() change them"),
            step=seen.audits[-1].step,
            cause="no_update",
            confidence=0.95,
        )
    ]
