"""Our distributions in Optuna's words, so that its tables, samplers and dashboard understand them."""

from __future__ import annotations

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from hpo.spec.space import Choice, Distribution, Integer, Log


def optuna_distribution(distribution: Distribution) -> BaseDistribution:
    """The Optuna distribution with the same support and scale."""
    if isinstance(distribution, Choice):
        return CategoricalDistribution(distribution.choice)
    low, high = distribution.bounds
    if isinstance(distribution, Integer):
        return IntDistribution(int(low), int(high))
    return FloatDistribution(low, high, log=isinstance(distribution, Log))
