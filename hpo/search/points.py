"""Points of a study's space: what is known before anything is drawn, what makes two the same, all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeAlias

from hpo.spec.configuration import Configuration, applies
from hpo.spec.crosscheck import MAX_GRID
from hpo.spec.load import drawing_order
from hpo.spec.space import Choice, Distribution, Integer
from hpo.spec.study import StudySpec

Values: TypeAlias = dict[str, Any]
"""Searched hyperparameters of a trial, without those that do not apply."""

_DEFAULTS = {name: field.default for name, field in Configuration.model_fields.items()}


def known(spec: StudySpec) -> dict[str, Any]:
    """Values that hold before anything is drawn: the defaults, then the fixed ones."""
    return {name: value for name, value in {**_DEFAULTS, **spec.fixed}.items() if name not in spec.space}


def effect(spec: StudySpec, drawn: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """What of a draw has an effect on the training: two draws with the same are one configuration."""
    values = {**_DEFAULTS, **spec.fixed, **drawn}
    return tuple((name, drawn[name]) for name in spec.space if name in drawn and applies(name, values))


def points(spec: StudySpec) -> list[Values] | None:
    """The distinct points of a finite space, the first parameter varying slowest; None if there is no end.

    A space of more than 100,000 points counts as endless.
    """
    size = math.prod(_count(each) for each in spec.space.values())
    return _points(spec.model_dump_json(by_alias=True)) if size <= MAX_GRID else None


@lru_cache(maxsize=4)
def _points(document: str) -> list[Values]:
    spec = StudySpec.model_validate_json(document)
    found: list[Values] = [{}]
    fixed = known(spec)
    for name in drawing_order(spec.space):
        values = _every_value(spec.space[name])
        found = [
            {**point, name: value} if active else point
            for point, active in [(each, spec.space[name].active({**fixed, **each})) for each in found]
            for value in (values if active else [None])
        ]
    return list({effect(spec, point): point for point in reversed(found)}.values())[::-1]


def is_finite(spec: StudySpec) -> bool:
    """Whether the space has no range of numbers, so that a draw may come twice."""
    return all(_count(each) < math.inf for each in spec.space.values())


def moving(spec: StudySpec) -> dict[str, Distribution]:
    """The numbers that every trial of the study draws: what CMA-ES moves in."""
    before = known(spec)
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
