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

from hpo.config.space import Choice, Distribution, Integer, Log


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
