"""Samplers that learn: Optuna's own, given the trials in the database.

Each draw asks a new sampler on an in-memory study. So it depends on the study, the slot and the recorded
trials alone: any worker that resumes the study draws the same.
"""

from __future__ import annotations

import copy
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState

from hpo.config.parsing.load import drawing_order
from hpo.config.space import Choice, Distribution
from hpo.config.study import StudySpec
from hpo.rng import Key
from hpo.search.history import GENERATION, PastTrial
from hpo.search.samplers.pure import Values, fixed_values, numeric_dimensions, resample
from hpo.storage.optuna.distributions import optuna_distribution
from hpo.storage.optuna.storage import quiet_optuna

Past = Sequence[PastTrial]

_TRAINS, _FAILS = "trains", 1.0
"""The constraint that failed and hopeless trials violate by 1 and others satisfy by 1."""


@dataclass(frozen=True)
class Draw:
    """The values of a slot; ``attributes`` are what Optuna's sampler reads from its trial later."""

    values: Values
    attributes: Mapping[str, Any]


def tpe_draw(spec: StudySpec, slot: int, attempt: int, past: Past) -> Draw:
    """Return the most promising of several points where good trials are dense.

    Bergstra et al., NeurIPS 24 (2011). A pruned trial ranks below those that trained longer.
    """
    sampler = _tpe(_seed(spec, slot, attempt), spec.sampler.options.candidates)
    return Draw(_ask(spec, sampler, _as_optuna_trials(spec, past, _for_tpe), spec.space)[0], {})


def gp_draw(spec: StudySpec, slot: int, attempt: int, past: Past) -> Draw:
    """Draw where a Gaussian process expects most improvement; conditional parameters come from TPE."""
    seed = _seed(spec, slot, attempt)
    sampler = GPSampler(
        seed=seed, n_startup_trials=1, independent_sampler=_tpe(seed), warn_independent_sampling=False
    )
    view = _as_values(worst=_worst(past), constrained=any(trial.infeasible for trial in past))
    return Draw(_ask(spec, sampler, _as_optuna_trials(spec, past, view), spec.space)[0], {})


def cmaes_draw(spec: StudySpec, slot: int, attempt: int, past: Past) -> Draw:
    """Draw from a normal distribution that moves with each generation of trials; other values are random.

    Optuna would store the distribution in the database, as a pickle. Here a trial stores the number of its
    generation, and the generations are replayed in the order in which their trials ended.
    """
    space = numeric_dimensions(spec)
    values = resample(spec, slot, attempt)
    if not space:
        return Draw(values, {})
    size = population(spec)
    view = _as_values(worst=_worst(past) - 1.0, constrained=False)
    generations = _generations(spec, past)
    optimizer: dict[str, Any] = {}
    generation = 0
    while True:
        members = _as_optuna_trials(spec.model_copy(update={"space": space}), generations[generation], view)
        complete = len(members) >= size
        sampler = CmaEsSampler(
            seed=_seed(spec, slot, attempt), n_startup_trials=1, popsize=size, warn_independent_sampling=False
        )
        trials = [_carrier(space, optimizer), *(members[:size] if complete else [])]
        drawn, attributes = _ask(spec, sampler, trials, space)
        if not complete:
            return Draw({**values, **drawn}, {GENERATION: generation})
        optimizer = {name: value for name, value in attributes.items() if name.startswith("cma:optimizer")}
        generation += 1


def population(spec: StudySpec) -> int:
    """Return the number of trials per generation; Hansen, arXiv:1604.00772, equation 48."""
    return spec.sampler.options.population or 4 + math.floor(3 * math.log(len(numeric_dimensions(spec))))


def _seed(spec: StudySpec, slot: int, attempt: int) -> int:
    return (Key(spec.seed) / "learn" / slot / attempt).integer() % 2**32


def _tpe(seed: int, candidates: int = 24) -> TPESampler:
    return TPESampler(seed=seed, n_startup_trials=1, n_ei_candidates=candidates)


def _ask(
    spec: StudySpec, sampler: BaseSampler, trials: Sequence[FrozenTrial], space: Mapping[str, Distribution]
) -> tuple[Values, dict[str, Any]]:
    """Return the sampler's draw for ``space`` after these trials, and the attributes that it sets."""
    with quiet_optuna():
        study = optuna.create_study(direction="maximize", sampler=sampler)  # of scores
    study.add_trials(trials)
    trial = study.ask()
    values, drawn = fixed_values(spec), {}
    for name in drawing_order(space):
        if space[name].active(values):
            values[name] = drawn[name] = _suggest(trial, name, optuna_distribution(space[name]))
    return drawn, study.get_trials(deepcopy=False)[-1].system_attrs


def _suggest(trial: Trial, name: str, distribution: BaseDistribution) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(name, distribution.choices)
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(name, distribution.low, distribution.high)
    assert isinstance(distribution, optuna.distributions.FloatDistribution)
    return trial.suggest_float(name, distribution.low, distribution.high, log=distribution.log)


@dataclass(frozen=True)
class _SamplerView:
    """A trial's result as a sampler sees it."""

    state: TrialState
    value: float | None = None
    reached: Mapping[int, float] = field(default_factory=dict)
    """Scores by epoch."""
    constraint: float | None = None
    """Above 0 for a trial that failed or was stopped by a check."""


class _ImmutableTrial(FrozenTrial):
    """A trial that is never changed: the deep copies that Optuna makes would take longer than the draw."""

    def __init__(
        self,
        view: _SamplerView,
        values: Values,
        distributions: Mapping[str, BaseDistribution],
        attributes: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        now = datetime.now()
        super().__init__(
            number=-1,
            trial_id=-1,
            state=view.state,
            value=view.value,
            datetime_start=now,
            datetime_complete=now if view.state.is_finished() else None,
            params=values,
            distributions={name: distributions[name] for name in values},
            user_attrs={},
            system_attrs=dict(attributes),
            intermediate_values=dict(view.reached),
        )
        if view.constraint is not None:
            self.set_constraint(_TRAINS, view.constraint)

    def __deepcopy__(self, memo: Any) -> FrozenTrial:
        return copy.copy(self)


def _as_optuna_trials(
    spec: StudySpec, past: Past, view: Callable[[PastTrial], _SamplerView]
) -> list[FrozenTrial]:
    """Return the trials as Optuna's, without those outside the space."""
    distributions = {name: optuna_distribution(each) for name, each in spec.space.items()}
    trials: list[FrozenTrial] = []
    for trial in past:
        values = spec.searched(trial.configuration)
        if all(_lies_in(spec.space[name], value) for name, value in values.items()):
            attributes = {} if trial.generation is None else {GENERATION: trial.generation}
            trials.append(_ImmutableTrial(view(trial), values, distributions, attributes))
    return trials


def _lies_in(distribution: Distribution, value: Any) -> bool:
    if isinstance(distribution, Choice):
        return distribution.can_be(value)
    low, high = distribution.bounds
    return bool(low <= value <= high)


def _for_tpe(trial: PastTrial) -> _SamplerView:
    if trial.outcome is None:
        return _SamplerView(TrialState.RUNNING)
    if trial.infeasible:
        return _SamplerView(TrialState.PRUNED, constraint=_FAILS)
    if trial.outcome == "complete":
        return _SamplerView(TrialState.COMPLETE, trial.score)
    reached = {} if trial.reached is None or trial.epochs is None else {trial.epochs: trial.reached}
    return _SamplerView(TrialState.PRUNED, reached=reached)


def _as_values(*, worst: float, constrained: bool) -> Callable[[PastTrial], _SamplerView]:
    """For samplers that see values only: failed trials get the worst value, pruned ones their last."""

    def view(trial: PastTrial) -> _SamplerView:
        if trial.outcome is None:
            return _SamplerView(TrialState.RUNNING)
        reached = trial.score if trial.outcome == "complete" else trial.reached
        value = worst if trial.infeasible or reached is None else reached
        constraint = _FAILS if trial.infeasible else -_FAILS
        return _SamplerView(TrialState.COMPLETE, value, constraint=constraint if constrained else None)

    return view


def _worst(past: Past) -> float:
    return min((trial.score for trial in past if trial.score is not None), default=0.0)


def _generations(spec: StudySpec, past: Past) -> Mapping[int, list[PastTrial]]:
    """Return the finished trials of each generation, in the order in which they ended."""
    generations: defaultdict[int, list[PastTrial]] = defaultdict(list)
    for trial in sorted((each for each in past if each.outcome), key=lambda each: (each.ended, each.number)):
        if trial.generation is not None:
            generations[trial.generation].append(trial)
    return generations


def _carrier(space: Mapping[str, Distribution], optimizer: Mapping[str, Any]) -> FrozenTrial:
    """A trial outside all generations, from which Optuna reads the space and the state of CMA-ES."""
    middle = {name: each.draw(0.5) for name, each in space.items()}
    distributions = {name: optuna_distribution(each) for name, each in space.items()}
    return _ImmutableTrial(_SamplerView(TrialState.COMPLETE, 0.0), middle, distributions, optimizer)
