"""Samplers that learn: Optuna's own, given the trials that the database has.

Each draw asks a fresh sampler on a study in memory. So it follows from the study, the slot and the recorded
trials alone: whoever goes on with the study draws what this worker would have drawn.
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

from hpo.config.configuration import applies
from hpo.config.parsing.load import drawing_order
from hpo.config.space import Choice, Distribution
from hpo.config.study import StudySpec
from hpo.rng import Key
from hpo.search.history import GENERATION, PastTrial
from hpo.search.samplers.pure import Values, fixed_values, numeric_dimensions, resample
from hpo.storage.optuna.distributions import optuna_distribution

Past = Sequence[PastTrial]

_TRAINS, _FAILS = "trains", 1.0
"""The constraint that failed and hopeless trials break by 1 and others keep by 1: the border is between."""


@dataclass(frozen=True)
class Draw:
    """The values of a slot; ``attributes`` are what Optuna's sampler wants to find with its trial later."""

    values: Values
    attributes: Mapping[str, Any]


def tpe_draw(spec: StudySpec, slot: int, again: int, past: Past) -> Draw:
    """The most promising of some points where good trials are dense. Bergstra et al., NeurIPS 24 (2011).

    A trial that was stopped early ranks below those that trained longer.
    """
    sampler = _tpe(_seed(spec, slot, again), spec.sampler.options.candidates)
    return Draw(_ask(spec, sampler, _presented(spec, past, _for_tpe), spec.space)[0], {})


def gp_draw(spec: StudySpec, slot: int, again: int, past: Past) -> Draw:
    """Where a Gaussian process expects most to gain. Parameters that not every trial has go by TPE."""
    seed = _seed(spec, slot, again)
    sampler = GPSampler(
        seed=seed, n_startup_trials=1, independent_sampler=_tpe(seed), warn_independent_sampling=False
    )
    present = _as_values(worst=_worst(past), constrained=any(trial.infeasible for trial in past))
    return Draw(_ask(spec, sampler, _presented(spec, past, present), spec.space)[0], {})


def cmaes_draw(spec: StudySpec, slot: int, again: int, past: Past) -> Draw:
    """From a normal distribution that moves with each generation of trials; other values are random.

    Optuna would keep the distribution in the database, as a pickle. Here a trial keeps the number of its
    generation, and the generations are told again, in the order in which their trials ended.
    """
    space = numeric_dimensions(spec)
    values = resample(spec, slot, again)
    if not space:
        return Draw(values, {})
    size = population(spec)
    present = _as_values(worst=_worst(past) - 1.0, constrained=False)
    generations = _generations(spec, past)
    optimizer: dict[str, Any] = {}
    generation = 0
    while True:
        members = _presented(spec.model_copy(update={"space": space}), generations[generation], present)
        whole = len(members) >= size
        sampler = CmaEsSampler(
            seed=_seed(spec, slot, again), n_startup_trials=1, popsize=size, warn_independent_sampling=False
        )
        trials = [_carrier(space, optimizer), *(members[:size] if whole else [])]
        moved, asked = _ask(spec, sampler, trials, space)
        if not whole:
            return Draw({**values, **moved}, {GENERATION: generation})
        optimizer = {name: value for name, value in asked.items() if name.startswith("cma:optimizer")}
        generation += 1


def population(spec: StudySpec) -> int:
    """Trials of a generation; Hansen, arXiv:1604.00772, equation 48."""
    return spec.sampler.options.population or 4 + math.floor(3 * math.log(len(numeric_dimensions(spec))))


def searched_values(space: Mapping[str, Distribution], configuration: Mapping[str, Any]) -> Values:
    """The searched values of a configuration that have an effect there."""
    return {
        name: configuration[name]
        for name, distribution in space.items()
        if distribution.active(configuration) and applies(name, configuration)
    }


def _seed(spec: StudySpec, slot: int, again: int) -> int:
    return (Key(spec.seed) / "learn" / slot / again).integer() % 2**32


def _tpe(seed: int, candidates: int = 24) -> TPESampler:
    return TPESampler(seed=seed, n_startup_trials=1, n_ei_candidates=candidates)


def _ask(
    spec: StudySpec, sampler: BaseSampler, trials: Sequence[FrozenTrial], space: Mapping[str, Distribution]
) -> tuple[Values, dict[str, Any]]:
    """What the sampler draws for ``space`` after these trials, and what it notes with its trial."""
    study = optuna.create_study(direction="maximize", sampler=sampler)
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
class _Standing:
    """How a trial went, as a sampler shall see it."""

    state: TrialState
    value: float | None = None
    reached: Mapping[int, float] = field(default_factory=dict)
    """A validation accuracy by its epoch."""
    constraint: float | None = None
    """Above 0 for a trial that came to nothing."""


class _Recorded(FrozenTrial):
    """A trial that nobody changes: to copy it deeply, as Optuna does, takes longer than to draw."""

    def __init__(
        self,
        standing: _Standing,
        values: Values,
        distributions: Mapping[str, BaseDistribution],
        attributes: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        now = datetime.now()
        super().__init__(
            number=-1,
            trial_id=-1,
            state=standing.state,
            value=standing.value,
            datetime_start=now,
            datetime_complete=now if standing.state.is_finished() else None,
            params=values,
            distributions={name: distributions[name] for name in values},
            user_attrs={},
            system_attrs=dict(attributes),
            intermediate_values=dict(standing.reached),
        )
        if standing.constraint is not None:
            self.set_constraint(_TRAINS, standing.constraint)

    def __deepcopy__(self, memo: Any) -> FrozenTrial:
        return copy.copy(self)


def _presented(spec: StudySpec, past: Past, present: Callable[[PastTrial], _Standing]) -> list[FrozenTrial]:
    """The trials in Optuna's words, without those outside the space."""
    distributions = {name: optuna_distribution(each) for name, each in spec.space.items()}
    trials: list[FrozenTrial] = []
    for trial in past:
        values = searched_values(spec.space, trial.configuration)
        if all(_lies_in(spec.space[name], value) for name, value in values.items()):
            attributes = {} if trial.generation is None else {GENERATION: trial.generation}
            trials.append(_Recorded(present(trial), values, distributions, attributes))
    return trials


def _lies_in(distribution: Distribution, value: Any) -> bool:
    if isinstance(distribution, Choice):
        return distribution.can_be(value)
    low, high = distribution.bounds
    return bool(low <= value <= high)


def _for_tpe(trial: PastTrial) -> _Standing:
    if trial.outcome is None:
        return _Standing(TrialState.RUNNING)
    if trial.infeasible:
        return _Standing(TrialState.PRUNED, constraint=_FAILS)
    if trial.outcome == "complete":
        return _Standing(TrialState.COMPLETE, trial.value)
    reached = {} if trial.reached is None or trial.epochs is None else {trial.epochs: trial.reached}
    return _Standing(TrialState.PRUNED, reached=reached)


def _as_values(*, worst: float, constrained: bool) -> Callable[[PastTrial], _Standing]:
    """For samplers that see values only: what came to nothing has the worst, what was stopped its last."""

    def present(trial: PastTrial) -> _Standing:
        if trial.outcome is None:
            return _Standing(TrialState.RUNNING)
        reached = trial.value if trial.outcome == "complete" else trial.reached
        value = worst if trial.infeasible or reached is None else reached
        constraint = _FAILS if trial.infeasible else -_FAILS
        return _Standing(TrialState.COMPLETE, value, constraint=constraint if constrained else None)

    return present


def _worst(past: Past) -> float:
    return min((trial.value for trial in past if trial.value is not None), default=0.0)


def _generations(spec: StudySpec, past: Past) -> Mapping[int, list[PastTrial]]:
    """The trials of each generation that have ended, in the order in which they did."""
    generations: defaultdict[int, list[PastTrial]] = defaultdict(list)
    for trial in sorted((each for each in past if each.outcome), key=lambda each: (each.ended, each.number)):
        if trial.generation is not None:
            generations[trial.generation].append(trial)
    return generations


def _carrier(space: Mapping[str, Distribution], optimizer: Mapping[str, Any]) -> FrozenTrial:
    """A trial that Optuna takes the space and the state of CMA-ES from; of no generation itself."""
    middle = {name: each.draw(0.5) for name, each in space.items()}
    distributions = {name: optuna_distribution(each) for name, each in space.items()}
    return _Recorded(_Standing(TrialState.COMPLETE, 0.0), middle, distributions, optimizer)
