"""Optuna's interface with a Sobol sequence, for a space that is known only while a trial draws."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from optuna import Study
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial

_DIMENSIONS = 256


class SobolSampler(BaseSampler):
    """Draws from the point of a scrambled Sobol sequence that belongs to the trial's number.

    The n-th parameter that a trial draws is dimension n of its point: trials that draw the same parameters in
    the same order cover their space evenly. ``seed`` is the same for all trials of a study. Optuna's own
    sampler counts the points in the study, where a trial that starts over would take another one. Draws after
    the 256th are random.
    """

    def __init__(self, number: int, seed: int, seed_of_trial: int) -> None:
        self._number = number
        self._seed = seed
        self._random = RandomSampler(seed=seed_of_trial)

    @cached_property
    def _point(self) -> list[float]:
        from scipy.stats import qmc  # loads in half a second; only this sampler needs it

        engine = qmc.Sobol(_DIMENSIONS, scramble=True, rng=self._seed)
        if self._number:  # SciPy cannot fast-forward by 0
            engine.fast_forward(self._number)
        point: list[float] = engine.random(1)[0].tolist()
        return point

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return nothing: each parameter is drawn when it is suggested."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: Mapping[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Return the value of a parameter."""
        dimension = len(trial.params)
        if dimension >= _DIMENSIONS:
            return self._random.sample_independent(study, trial, param_name, param_distribution)
        return _value(self._point[dimension], param_distribution)


def _value(u: float, distribution: BaseDistribution) -> Any:
    """Return the value of a distribution at quantile ``u`` in [0, 1)."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(u * len(distribution.choices))]
    assert isinstance(distribution, FloatDistribution | IntDistribution), "Optuna has three kinds"
    low, high = distribution.low, distribution.high
    if distribution.single():
        return low
    if distribution.log:
        half = 0.5 if isinstance(distribution, IntDistribution) else 0.0
        start, end = math.log(low - half), math.log(high + half)
        value = math.exp(start + u * (end - start))
        return min(high, max(low, round(value) if half else value))
    if distribution.step is None:
        return low + u * (high - low)
    return min(high, low + int(u * (round((high - low) / distribution.step) + 1)) * distribution.step)
