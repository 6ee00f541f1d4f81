"""Samplers that are pure functions of the study and the slot: random, sobol and grid."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Any, TypeAlias

from hpo.config.parsing.consistency import MAX_GRID
from hpo.config.parsing.load import drawing_order
from hpo.config.space import Choice, Distribution, Integer
from hpo.config.study import StudySpec
from hpo.rng import Key

Values: TypeAlias = dict[str, Any]
"""Searched hyperparameters of a trial, without those that do not apply."""


def fixed_values(spec: StudySpec) -> dict[str, Any]:
    """Return the values of all hyperparameters that are not searched: fixed ones, otherwise defaults."""
    values = {**spec.hyperparameters.defaults, **spec.fixed}
    return {name: value for name, value in values.items() if name not in spec.space}


def signature(spec: StudySpec, drawn: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Return the part of a draw that affects training: equal signatures are one configuration."""
    known = spec.hyperparameters
    values = {**known.defaults, **spec.fixed, **drawn}
    return tuple((name, drawn[name]) for name in spec.space if name in drawn and known.applies(name, values))


def grid_points(spec: StudySpec) -> list[Values] | None:
    """Return the distinct points of a finite space, the first parameter varying slowest; else ``None``.

    A space of more than 100,000 points counts as infinite.
    """
    size = math.prod(_count(each) for each in spec.space.values())
    return _points(spec.model_dump_json(by_alias=True)) if size <= MAX_GRID else None


@lru_cache(maxsize=4)
def _points(document: str) -> list[Values]:
    spec = StudySpec.model_validate_json(document)
    found: list[Values] = [{}]
    fixed = fixed_values(spec)
    for name in drawing_order(spec.space):
        values = _every_value(spec.space[name])
        found = [
            {**point, name: value} if active else point
            for point, active in [(each, spec.space[name].active({**fixed, **each})) for each in found]
            for value in (values if active else [None])
        ]
    return list({signature(spec, point): point for point in reversed(found)}.values())[::-1]


def is_finite(spec: StudySpec) -> bool:
    """Return whether the space has no continuous range, so that draws may repeat."""
    return all(_count(each) < math.inf for each in spec.space.values())


def numeric_dimensions(spec: StudySpec) -> dict[str, Distribution]:
    """Return the numbers that every trial of the study draws: the dimensions of CMA-ES."""
    before = fixed_values(spec)
    return {
        name: each
        for name, each in spec.space.items()
        if not isinstance(each, Choice) and each.active(before)
    }


def _count(distribution: Distribution) -> float:
    if isinstance(distribution, Choice):
        return len(distribution.choice)
    if isinstance(distribution, Integer):
        return distribution.int_[1] - distribution.int_[0] + 1
    return math.inf


def _every_value(distribution: Distribution) -> list[Any]:
    if isinstance(distribution, Choice):
        return list(distribution.choice)
    assert isinstance(distribution, Integer)
    low, high = distribution.int_
    return list(range(low, high + 1))


Quantile = Callable[[str], float]
"""A parameter's name → the quantile of its value in [0, 1)."""
Quantiles = Callable[[StudySpec, int], Quantile]

MAX_RESAMPLES = 100
"""How often a slot of a finite space is resampled before one of the unused points is picked."""


def random_draw(spec: StudySpec, slot: int) -> Values:
    """Draw each value independently from (study seed, slot, name); no point of a finite space twice."""
    return _distinct(spec, slot, _random_quantiles)


def sobol_draw(spec: StudySpec, slot: int) -> Values:
    """Return point ``slot`` of a Sobol sequence scrambled by the study's seed; no finite point twice.

    Each parameter has its own dimension, even where it does not apply. Sobol, USSR Comput. Math. 7
    (1967); scrambling: Matousek, J. Complexity 14 (1998).
    """
    return _distinct(spec, slot, _sobol_quantiles)


def grid_draw(spec: StudySpec, slot: int) -> Values:
    """Return point ``slot`` of the product of all choices, starting over after the last."""
    every = grid_points(spec)
    assert every is not None  # load.py refuses an infinite grid
    return every[slot % len(every)]


def resample(spec: StudySpec, slot: int, attempt: int) -> Values:
    """Return another random draw of a slot after a rejected one; ``attempt`` counts from 1."""
    key = Key(spec.seed) / "draw" / slot / "again" / attempt
    return _values(spec, lambda name: (key / name).uniform())


def _values(spec: StudySpec, quantile: Quantile) -> Values:
    """Return the values at these quantiles, without those that do not apply."""
    values, drawn = fixed_values(spec), {}
    for name in drawing_order(spec.space):
        distribution = spec.space[name]
        if distribution.active(values):
            values[name] = drawn[name] = distribution.draw(quantile(name))
    return drawn


def _random_quantiles(spec: StudySpec, slot: int) -> Quantile:
    key = Key(spec.seed) / "draw" / slot
    return lambda name: (key / name).uniform()


def _sobol_quantiles(spec: StudySpec, slot: int) -> Quantile:
    from scipy.stats import qmc  # loads in half a second; only this sampler needs it

    # By name, so that the order of a space's keys does not change the study.
    dimensions = sorted(spec.space)
    engine = qmc.Sobol(len(dimensions), scramble=True, rng=(Key(spec.seed) / "sobol").integer())
    if slot:  # SciPy cannot fast-forward by 0
        engine.fast_forward(slot)
    return dict(zip(dimensions, engine.random(1)[0].tolist(), strict=True)).__getitem__


def _distinct(spec: StudySpec, slot: int, quantiles: Quantiles) -> Values:
    if not is_finite(spec):
        return _values(spec, quantiles(spec, slot))
    return _sequence(spec.model_dump_json(by_alias=True), quantiles).of(slot)


@lru_cache(maxsize=4)
def _sequence(document: str, quantiles: Quantiles) -> _Sequence:
    return _Sequence(StudySpec.model_validate_json(document), quantiles)


class _Sequence:
    """The draws of slots 0, 1, 2, ... of a finite space, each different from those before it.

    The study's ``first`` configurations count as the draws of their slots. A slot keeps its own draw unless a
    lower slot has that point; then it is resampled until it is new. So the draw of a slot depends on the
    study alone. Once every point was drawn, all become available again.
    """

    def __init__(self, spec: StudySpec, quantiles: Quantiles) -> None:
        self._spec = spec
        self._quantiles = quantiles
        self._points = grid_points(spec)
        self._drawn: list[Values] = []
        self._used: set[object] = set()

    def of(self, slot: int) -> Values:
        while len(self._drawn) <= slot:
            values = self._next(len(self._drawn))
            self._drawn.append(values)
            self._used.add(signature(self._spec, values))
        return self._drawn[slot]

    def _next(self, slot: int) -> Values:
        if self._points is not None and len(self._used) == len(self._points):
            self._used.clear()
        if slot < len(self._spec.first):
            given = self._spec.first[slot]
            return given | _distinct(self._spec.with_fixed(given), slot, self._quantiles)
        values = _values(self._spec, self._quantiles(self._spec, slot))
        for attempt in range(1, MAX_RESAMPLES + 1):
            if signature(self._spec, values) not in self._used:
                return values
            values = resample(self._spec, slot, attempt)
        return unused_point(self._spec, slot, self._used) or values


def unused_point(spec: StudySpec, slot: int, used: Collection[object]) -> Values | None:
    """Return a random one of the unused points of a finite space; ``None`` if there is none."""
    left = [point for point in grid_points(spec) or [] if signature(spec, point) not in used]
    if not left:
        return None
    return left[math.floor((Key(spec.seed) / "draw" / slot / "left").uniform() * len(left))]
