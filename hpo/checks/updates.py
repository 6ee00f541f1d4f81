"""How far does a step move the weights, relative to their size?

Source: CS231n lecture 6: the ratio of updates to weights should be somewhere around 1e-3.
"""

from __future__ import annotations

import math

import numpy as np

from hpo.checks.base import Finding
from hpo.checks.observations import Observations, Snapshot
from hpo.checks.remedies import fix, lower_lr, raise_lr, update_excess
from hpo.spec.thresholds import Thresholds

_LEAST_STEPS = 20
_EXTREME_MOMENTUM = 0.99


def no_update(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Losses come in, but no step changes a weight."""
    if seen.steps < _LEAST_STEPS:
        return []
    moved = [median_ratio(shot) for shot in seen.snapshots]
    known = [ratio for ratio in moved if math.isfinite(ratio)]
    if seen.optimizer_steps == 0:
        message = f"{seen.steps} losses were reported, and optimizer.step() was never called"
    elif len(known) >= 2 and max(known) == 0:
        message = f"no weight has changed in {seen.optimizer_steps} steps"
    else:
        return []
    remedy = fix("call_step", "call optimizer.step() after backward, with a learning rate above 0")
    return [
        Finding(
            "no_update",
            "warn",
            0.0,
            0.0,
            message,
            remedy.text,
            step=seen.steps - 1,
            cause="no_update",
            confidence=0.95,
            change=remedy.change,
        )
    ]


def update_ratio(seen: Observations, limits: Thresholds) -> list[Finding]:
    """The median over layers in the first steps, where the learning rate is best seen."""
    first = next((shot for shot in seen.snapshots if math.isfinite(median_ratio(shot))), None)
    if first is None:
        return []
    ratio = median_ratio(first)
    if ratio > limits.update_ratio_high:
        remedy = lower_lr(seen)
        cause = "momentum_too_high" if seen.setup.momentum > _EXTREME_MOMENTUM else "lr_too_high"
        message = f"step {first.step} changed the weights by {ratio:.2g} of their size; 1e-3 is usual"
        return [
            _note(ratio, limits.update_ratio_high, message, remedy.text, first.step, cause, remedy.change)
        ]
    if 0 < ratio < limits.update_ratio_low and (update_excess(seen) or 1.0) < 0.1:
        remedy = raise_lr(seen)
        message = f"step {first.step} changed the weights by {ratio:.1e} of their size; 1e-3 is usual"
        return [
            _note(
                ratio, limits.update_ratio_low, message, remedy.text, first.step, "lr_too_low", remedy.change
            )
        ]
    return []


def momentum(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Momentum m makes steps 1 / (1 - m) times as long in the end: a thousand times at 0.999."""
    value = seen.setup.momentum
    if seen.setup.optimizer != "sgd" or value <= _EXTREME_MOMENTUM:
        return []
    message = f"momentum {value:g} makes steps {1 / (1 - value):.0f} times as long as the learning rate says"
    return [
        _note(
            value,
            _EXTREME_MOMENTUM,
            message,
            "lower momentum to 0.9",
            0,
            "momentum_too_high",
            {"momentum": 0.9},
        )
    ]


def _note(
    value: float,
    threshold: float,
    message: str,
    remedy: str,
    step: int,
    cause: str,
    change: object,
) -> Finding:
    checks = {"momentum_too_high": "momentum"}
    return Finding(
        checks.get(cause, "update_ratio"),
        "note",
        value,
        threshold,
        message,
        remedy,
        step=step,
        cause=cause,
        confidence=0.65,
        change=change,  # type: ignore[arg-type]
    )


def median_ratio(shot: Snapshot) -> float:
    """The median update ratio over layers; NaN if unknown."""
    ratios = [layer.update_ratio for layer in shot.layers if math.isfinite(layer.update_ratio)]
    return float(np.median(ratios)) if ratios else math.nan
