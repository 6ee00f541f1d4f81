"""Does the loss go down at all? At chance it is ln C, and a training that has not left it is told apart from
a slow one by a straight line through its latest losses."""

from __future__ import annotations

import math

import numpy as np

from hpo.checks.observations import Observations
from hpo.checks.remedies import sound_start
from hpo.checks.rules.gradient_scale import gradient_scale
from hpo.config.thresholds import Thresholds
from hpo.records import Finding

_LEAST_STEPS = 40
"""Fewer prove nothing: sound programs leave chance between steps 20 and 45 (benchmarks/diagnosis.py)."""
_LATEST = 0.9
"""Share of the training after which stopping saves nothing: `learned` judges what comes out."""
_WINDOW = 0.5
"""Share of the losses so far through which the line is drawn."""
_BY_HEART = 0.5
_SURE = 2.0
"""Standard errors that the slope is given the benefit of."""


def not_learning(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Fatal if, after ``patience`` of the training, the loss is at chance and no trend leads away from it."""
    total, steps = seen.setup.total_steps, seen.steps
    if total is None or not max(_LEAST_STEPS, limits.patience * total) <= steps <= _LATEST * total:
        return []
    chance = math.log(seen.setup.classes)
    level, slope, error = trend(seen.losses[-int(_WINDOW * steps) :])
    if not level > chance - limits.chance_margin:
        return []
    # The most that the loss can fall if it goes on as steeply as the data allow. Where nothing passes the
    # layers there is no such doubt: a loss that comes down to chance from above will stay there.
    fall = max(0.0, _SURE * error - slope) * (total - steps)
    if level - fall < chance - 2 * limits.chance_margin and not (
        level > chance and _is_blocked(seen, limits)
    ):
        return []
    message = (
        f"after {steps} of {total} steps the loss is {level:.3f}, no better than guessing (ln "
        f"{seen.setup.classes} = {chance:.3f}), and does not fall"
    )
    return [
        Finding(
            "not_learning",
            "fatal",
            level,
            chance - limits.chance_margin,
            message,
            sound_start(seen),
            step=steps - 1,
            cause="not_learning",
            confidence=0.4,
        )
    ]


def _is_blocked(seen: Observations, limits: Thresholds) -> bool:
    """Whether gradients vanish on the way, and twenty examples could not be learned by heart either."""
    learned = seen.preflight.memorization if seen.preflight else None
    return learned is not None and learned.accuracy < _BY_HEART and bool(gradient_scale(seen, limits))


def trend(losses: np.ndarray) -> tuple[float, float, float]:
    """Level at the end, slope per step, and the slope's standard error, of a line through ``losses`` (n,)."""
    count = len(losses)
    steps = np.arange(count) - (count - 1) / 2
    spread = float((steps**2).sum())
    with np.errstate(invalid="ignore", over="ignore"):  # losses that exploded: what comes out is nan
        slope = float((steps * losses).sum()) / spread
        rest = losses - losses.mean() - slope * steps
        error = math.sqrt(float((rest**2).sum()) / max(1, count - 2) / spread)
        return float(losses.mean() + slope * steps[-1]), slope, error
