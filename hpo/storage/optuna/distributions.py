"""Our distributions as Optuna's, for its tables, samplers and dashboard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from hpo.config.space import Choice, Distribution, Integer, Log, Uniform


def optuna_distribution(distribution: Distribution) -> BaseDistribution:
    """Return the Optuna distribution with the same support and scale."""
    if isinstance(distribution, Choice):
        return CategoricalDistribution(distribution.choice)
    low, high = distribution.bounds
    if isinstance(distribution, Integer):
        return IntDistribution(int(low), int(high))
    return FloatDistribution(low, high, log=isinstance(distribution, Log))


def as_parameters(
    space: Mapping[str, Distribution], values: Mapping[str, Any]
) -> dict[str, tuple[Any, BaseDistribution]]:
    """Return the values that Optuna can store as a trial's parameters, each with its distribution.

    A given number outside its range widens the range for this trial. A choice outside the list is omitted:
    Optuna requires the same choices in all trials of a study.
    """
    found = {}
    for name, value in values.items():
        distribution = space.get(name)
        if distribution is None or (isinstance(distribution, Choice) and not distribution.can_be(value)):
            continue
        theirs = optuna_distribution(distribution)
        if isinstance(theirs, FloatDistribution | IntDistribution):
            theirs.low, theirs.high = min(theirs.low, value), max(theirs.high, value)
        found[name] = (value, theirs)
    return found


def from_optuna(theirs: BaseDistribution) -> Distribution | None:
    """Return our distribution with the same support, without steps; None for choices that are no scalars."""
    if isinstance(theirs, CategoricalDistribution):
        scalars = all(each is None or isinstance(each, bool | int | float | str) for each in theirs.choices)
        return Choice(choice=list(theirs.choices)) if scalars else None
    assert isinstance(theirs, FloatDistribution | IntDistribution), "Optuna has three kinds"
    if theirs.single():
        return Choice(choice=[theirs.low])
    if theirs.log:
        return Log(log=(theirs.low, theirs.high))
    if isinstance(theirs, IntDistribution):
        return Integer(int=(theirs.low, theirs.high))
    return Uniform(uniform=(theirs.low, theirs.high))


def widened(ours: Distribution, other: Distribution) -> Distribution:
    """Return the distribution that holds the values of both, if they are of one kind; else ours."""
    if isinstance(ours, Choice) and isinstance(other, Choice):
        new = [each for each in other.choice if not ours.can_be(each)]
        return ours.model_copy(update={"choice": [*ours.choice, *new]})
    if isinstance(ours, Choice):  # of a range with a single value
        return other
    if type(ours) is not type(other):
        return ours
    (low, high), (least, most) = ours.bounds, other.bounds
    name = next(iter(type(ours).model_fields.keys() - {"when"}))
    return ours.model_copy(update={name: (min(low, least), max(high, most))})
