"""The configuration of a slot: a pure function of the study and the slot.

Random rather than grid search, on log scales: Bergstra and Bengio, JMLR 13 (2012); CS231n lecture 6.
"""

from __future__ import annotations

from typing import Any

from hpo.randomness import Key
from hpo.spec.configuration import Configuration
from hpo.spec.load import drawing_order
from hpo.spec.space import Choice, Integer
from hpo.spec.study import StudySpec


def draw(spec: StudySpec, slot: int) -> dict[str, Any]:
    """The searched values of slot ``slot`` (0-based), without those that do not apply there."""
    return DRAWERS[spec.sampler](spec, slot)


def _random(spec: StudySpec, slot: int) -> dict[str, Any]:
    key = Key(spec.seed) / "draw" / slot
    values: dict[str, Any] = _known(spec)
    drawn: dict[str, Any] = {}
    for name in drawing_order(spec.space):
        distribution = spec.space[name]
        if distribution.active(values):
            values[name] = drawn[name] = distribution.draw((key / name).uniform())
    return drawn


def _grid(spec: StudySpec, slot: int) -> dict[str, Any]:
    """Slot i is point i of the product of all choices, counted round and round.

    Points that ``when`` makes equal are visited once.
    """
    points = grid_points(spec)
    return points[slot % len(points)]


def grid_points(spec: StudySpec) -> list[dict[str, Any]]:
    """The distinct points of the product of all choices, the first parameter varying slowest."""
    points: list[dict[str, Any]] = [{}]
    fixed = _known(spec)
    for name in drawing_order(spec.space):
        distribution = spec.space[name]
        points = [
            {**point, name: value} if distribution.active({**fixed, **point}) else point
            for point in points
            for value in (_grid_values(distribution) if distribution.active({**fixed, **point}) else [None])
        ]
    return points


def _grid_values(distribution: Any) -> list[Any]:
    if isinstance(distribution, Choice):
        return list(distribution.choice)
    if isinstance(distribution, Integer):
        low, high = distribution.int_
        return list(range(low, high + 1))
    raise TypeError(f"no grid over {type(distribution).__name__}")  # load.py refuses such studies


def _known(spec: StudySpec) -> dict[str, Any]:
    """Values that hold before anything is drawn: the defaults, then the fixed ones."""
    defaults = {
        name: field.default for name, field in Configuration.model_fields.items() if name not in spec.space
    }
    return {**defaults, **spec.fixed}


DRAWERS = {"random": _random, "grid": _grid}
