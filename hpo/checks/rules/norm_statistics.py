"""Do the running statistics of normalization match the network? On the same images they cost little.

Source: Ioffe & Szegedy 2015: at test time, averages over training replace the statistics of the batch.
"""

from __future__ import annotations

import math

from hpo.checks.base import warn
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding


def norm_statistics(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Compare probe losses with batch statistics and with running statistics, after the latest epochs."""
    if seen.setup.frozen_norms:
        message = f"the running statistics of {seen.setup.frozen_norms[0]} never change: its momentum is 0"
        return [_warn(0.0, 0.0, message, 0, 0.9)]
    gaps = [mode.running_statistics - mode.batch_statistics for mode in seen.modes]
    if len(gaps) < 2 or not all(math.isfinite(gap) for gap in gaps[-2:]):
        return []
    gap, latest = min(gaps[-2:]), seen.modes[-1]
    if gap <= limits.mode_gap:
        return []
    message = (
        f"the same examples cost {latest.running_statistics:.2f} with running statistics and "
        f"{latest.batch_statistics:.2f} with batch statistics"
    )
    return [_warn(gap, limits.mode_gap, message, latest.step, 0.6)]


def _warn(value: float, threshold: float, message: str, step: int, confidence: float) -> Finding:
    return warn(
        "norm_statistics",
        value,
        threshold,
        message,
        fix("fix_norm_momentum", "use a norm_momentum of about 0.1 and train long enough for it"),
        step=step,
        cause="norm_statistics",
        confidence=confidence,
    )
