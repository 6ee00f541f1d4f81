"""Remedies: what to change, in words and as configuration fields; concrete where numbers allow it."""

from __future__ import annotations

import math

import numpy as np

from hpo.checks.observations import Observations
from hpo.records import Remedy

USUAL_UPDATE = {"sgd": 6e-4, "adam": 1.5e-2, "adamw": 1.5e-2, "rmsprop": 5e-2, "adagrad": 1.5e-2}
"""Median over layers of the first step's change over the weights' norm, at a learning rate that trains well.

SGD's first step has no momentum yet; Adam's is a step of lr for every weight. Measured on the sound programs
of benchmarks/diagnosis.py: 4e-4 to 2e-3 with SGD, 1.1e-2 to 2.2e-2 with Adam and AdamW.
"""
_FALLBACK_UPDATE = 1e-3
_START = 0.01
"""A learning rate to start from where there was none."""
_LARGEST_CHANGE = 1e3
"""Of a learning rate that is not beyond all sense: weights that start tiny make any step look long."""
_SENSIBLE_LR = 100.0


def fix(code: str, text: str) -> Remedy:
    """A mistake in the loop's code."""
    return Remedy(text, {"code": code})


def lower_lr(seen: Observations) -> Remedy:
    """A learning rate at which the first updates have their usual size; at most a third of what it was."""
    factor = update_excess(seen)
    most = _LARGEST_CHANGE if seen.setup.lr <= _SENSIBLE_LR else math.inf
    factor = 3.0 if factor is None else min(max(factor, 3.0), most)
    lr = two_digits(seen.setup.lr / factor)
    return Remedy(f"lower lr to {lr:g} or less (it was {seen.setup.lr:.3g})", {"lr": lr})


def raise_lr(seen: Observations) -> Remedy:
    """The same upwards: at least three times as much."""
    if seen.setup.lr == 0:
        return Remedy(f"raise lr, which is 0, to about {_START:g}", {"lr": _START})
    factor = update_excess(seen)
    factor = 1 / 10 if factor is None else max(min(factor, 1 / 3), 1 / _LARGEST_CHANGE)
    lr = two_digits(seen.setup.lr / factor)
    return Remedy(f"raise lr to about {lr:g} (it was {seen.setup.lr:.3g})", {"lr": lr})


def update_excess(seen: Observations) -> float | None:
    """How many times the usual the first update is, brought to the peak learning rate; None if unknown."""
    if not seen.snapshots or seen.snapshots[0].step > 0 or seen.snapshots[0].lr <= 0:
        return None
    first = seen.snapshots[0]
    ratios = [layer.update_ratio for layer in first.layers if layer.update_ratio > 0]
    if not ratios or not np.isfinite(ratios).all():
        return None
    usual = USUAL_UPDATE.get(seen.setup.optimizer, _FALLBACK_UPDATE)
    return float(np.median(ratios)) * seen.setup.lr / first.lr / usual


def two_digits(value: float) -> float:
    """Rounded to two significant digits."""
    return float(f"{value:.2g}")


def better_start(seen: Observations) -> Remedy:
    """Another initializer: He's for rectifiers, Xavier's for what is odd and saturates.

    Where that is what the configuration says already, normalization has to help too.
    """
    odd = seen.setup.settings.get("activation") in ("tanh", "sigmoid", "lecun_tanh")
    name = "xavier" if odd else "he"
    if seen.setup.settings.get("initializer") != name:
        return Remedy(f"use initializer: {name}", {"initializer": name})
    return Remedy(
        f"set the weights as initializer: {name} does, and use batch_norm: before",
        {"initializer": name, "batch_norm": "before"},
    )


def sound_start(seen: Observations) -> Remedy:
    """Where nothing says more: the combination that trains most reliably."""
    change = {"batch_norm": "before", "activation": "relu", "initializer": "he"}
    wrong = {name: value for name, value in change.items() if seen.setup.settings.get(name) != value}
    if not wrong and seen.setup.settings:
        return lower_lr(seen)
    words = ", ".join(f"{name}: {value}" for name, value in (wrong or change).items())
    return Remedy(f"use {words}; or change lr (it was {seen.setup.lr:.3g})", wrong or change)


def add_norm(seen: Observations) -> Remedy:
    """Batch normalization, which makes most starts work; where it is on, what else does."""
    settings = seen.setup.settings
    if settings.get("batch_norm") not in ("before", "after"):
        return Remedy("use batch_norm: before", {"batch_norm": "before"})
    change = {"activation": "relu", "initializer": "he"}
    wrong = {name: value for name, value in change.items() if settings.get(name) != value}
    if not wrong:
        return lower_lr(seen)
    return Remedy("use " + " and ".join(f"{name}: {value}" for name, value in wrong.items()), wrong)
