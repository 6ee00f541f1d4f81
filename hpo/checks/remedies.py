"""Remedies: what to change, in words and as configuration fields; concrete where numbers allow it."""

from __future__ import annotations

import numpy as np

from hpo.checks.base import Remedy
from hpo.checks.observations import Observations

USUAL_UPDATE = {"sgd": 4e-3, "adam": 6e-3, "adamw": 6e-3, "rmsprop": 6e-3, "adagrad": 6e-3}
"""Median update ratio over layers in the second step of healthy trainings at their peak learning rate (the
lecture's 1e-3 is for the whole of a longer training); measured by benchmarks/diagnosis.py."""
_FALLBACK_UPDATE = 4e-3
_LARGEST_CHANGE = 1e9


def fix(code: str, text: str) -> Remedy:
    """A mistake in the loop's code."""
    return Remedy(text, {"code": code})


def lower_lr(seen: Observations) -> Remedy:
    """A learning rate at which the first updates have their usual size; at most a third of what it was."""
    factor = update_excess(seen)
    factor = 3.0 if factor is None else min(max(factor, 3.0), _LARGEST_CHANGE)
    lr = two_digits(seen.setup.lr / factor)
    return Remedy(f"lower lr to {lr:g} or less (it was {seen.setup.lr:.3g})", {"lr": lr})


def raise_lr(seen: Observations) -> Remedy:
    """The same upwards: at least three times as much."""
    factor = update_excess(seen)
    factor = 1 / 10 if factor is None else max(min(factor, 1 / 3), 1 / _LARGEST_CHANGE)
    lr = two_digits(seen.setup.lr / factor)
    return Remedy(f"raise lr to about {lr:g} (it was {seen.setup.lr:.3g})", {"lr": lr})


def update_excess(seen: Observations) -> float | None:
    """How many times the usual the early updates are, brought to the peak learning rate; None if unknown."""
    early = [shot for shot in seen.snapshots if shot.step <= 8 and shot.lr > 0]
    ratios = [
        layer.update_ratio * seen.setup.lr / shot.lr
        for shot in early[:1]
        for layer in shot.layers
        if np.isfinite(layer.update_ratio) and layer.update_ratio > 0
    ]
    if not ratios:
        return None
    return float(np.median(ratios)) / USUAL_UPDATE.get(seen.setup.optimizer, _FALLBACK_UPDATE)


def two_digits(value: float) -> float:
    """Rounded to two significant digits."""
    return float(f"{value:.2g}")


def better_start(seen: Observations) -> Remedy:
    """Another initializer: He's for rectifiers, Xavier's for what is odd and saturates."""
    odd = seen.setup.settings.get("activation") in ("tanh", "sigmoid", "lecun_tanh")
    name = "xavier" if odd else "he"
    if seen.setup.settings.get("initializer") == name:
        return add_norm(seen)
    return Remedy(f"use initializer: {name}", {"initializer": name})


def add_norm(seen: Observations) -> Remedy:
    """Batch normalization, which makes most starts work."""
    if seen.setup.settings.get("batch_norm") in ("before", "after"):
        return Remedy("use activation: relu and initializer: he", {"activation": "relu", "initializer": "he"})
    return Remedy("use batch_norm: before", {"batch_norm": "before"})
