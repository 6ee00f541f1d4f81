"""The order in which a strategy takes configurations from the recorded table."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable
from typing import Any

from search_replay.curves import Curves, Recorded

CHOICES = ("activation", "initializer", "batch_norm", "optimizer")
_RANGES = {"lr": (1e-4, 1.0), "weight_decay": (1e-6, 1e-1)}
LEVELS = 3
"""Levels of each number in the grid: both ends of its range and the middle, on the log scale."""
LR_WEIGHT = 8
"""Half a decade of learning rate, an eighth of its range, counts as much as another choice: it matters most,
and a grid answered at other learning rates would not be a grid."""


def at_random(curves: Curves, seed: int) -> list[Recorded]:
    """Return the order of random search: the table holds random draws; each repeat shuffles them."""
    return random.Random(seed).sample(curves.trials, len(curves.trials))


def on_a_grid(curves: Curves, seed: int) -> list[Recorded]:
    """Return a grid in the order of `sampler: grid`: the first hyperparameter varies slowest.

    The product of all choices and of LEVELS values of each number; each repeat lists the hyperparameters in
    another order. A point is answered by the recorded configuration nearest to it that was not taken yet.
    """
    values = _values(curves)
    names = random.Random(seed).sample(list(values), len(values))
    product = itertools.product(*(values[name] for name in names))
    return nearest(curves, (dict(zip(names, point, strict=True)) for point in product))


def on_a_shuffled_grid(curves: Curves, seed: int) -> list[Recorded]:
    """Return the same points in random order, which favors a grid that is stopped early."""
    values = _values(curves)
    points = [dict(zip(values, point, strict=True)) for point in itertools.product(*values.values())]
    random.Random(seed).shuffle(points)
    return nearest(curves, points)


def _values(curves: Curves) -> dict[str, list[Any]]:
    levels: dict[str, list[Any]] = {name: _levels(low, high) for name, (low, high) in _RANGES.items()}
    return levels | {name: sorted({each.values[name] for each in curves.trials}) for name in CHOICES}


def nearest(curves: Curves, points: Iterable[dict[str, Any]]) -> list[Recorded]:
    """Yield for each point the nearest recorded configuration that no earlier point took."""
    left = list(curves.trials)
    order = []
    for point in points:
        if not left:
            break
        found = min(left, key=lambda each: (_distance(point, each.values), each.number))
        left.remove(found)
        order.append(found)
    return order


def _levels(low: float, high: float) -> list[float]:
    step = math.log(high / low) / (LEVELS - 1)
    return [low * math.exp(level * step) for level in range(LEVELS)]


def _distance(point: dict[str, Any], values: dict[str, Any]) -> float:
    """Return the sum over hyperparameters: 1 for another choice, else the share of the log range."""
    apart = float(sum(point[name] != values[name] for name in CHOICES))
    for name, (low, high) in _RANGES.items():
        weight = LR_WEIGHT if name == "lr" else 1
        apart += weight * abs(math.log(point[name] / values[name])) / math.log(high / low)
    return apart
