"""Does a squared error end where a constant answer would? Nothing has to be known of the labels for that."""

from __future__ import annotations

import math
import statistics

import numpy as np

from hpo.checks.base import warn
from hpo.checks.facts import task
from hpo.checks.observations import Observations
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy

_NOTHING = 0.9
"""Share of a constant answer's loss above which hardly anything is explained."""
_FLAT = 0.01
"""Relative fall over the second half."""
_LEAST_STEPS = 100
_WINDOW = 20
_UNEXPLAINED = Remedy("see whether targets belong to their inputs, and whether the inputs reach the network")


def constant_answer(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report a squared error that ended no better than the best constant answer, and no longer fell."""
    known = [audit.constant_loss for audit in seen.audits]
    losses = seen.losses
    if not known or any(map(math.isnan, known)) or len(losses) < _LEAST_STEPS:
        return []
    if not np.isfinite(losses).all() or seen.setup.optimizers > 1 or task(seen) == "reinforcement":
        return []
    constant, last = statistics.mean(known), float(losses[-_WINDOW:].mean())
    if constant < _FLAT * seen.audits[0].loss or last < _NOTHING * constant or _still_falls(losses):
        return []
    message = f"the loss ends at {last:.3g}; the best constant answer has {constant:.3g}"
    return [
        warn(
            "constant_answer",
            last,
            _NOTHING * constant,
            message,
            _UNEXPLAINED,
            cause="not_learning",
            confidence=0.6,
        )
    ]


def _still_falls(losses: np.ndarray) -> bool:
    half, quarter = len(losses) // 2, len(losses) // 4
    return float(losses[-quarter:].mean()) < (1 - _FLAT) * float(losses[half : half + quarter].mean())
