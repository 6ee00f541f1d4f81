"""``optuna.Trial`` for an objective that is written for Optuna: its draws and reports go to the worker."""

from __future__ import annotations

import json
import time
from collections.abc import Container, Sequence
from copy import deepcopy as deep_copy
from datetime import datetime
from functools import cache
from typing import Any, NoReturn

import optuna
from optuna.distributions import (
    BaseDistribution,
    check_distribution_compatibility,
    distribution_to_json,
    json_to_distribution,
)
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hpo.config.plain import plain_value
from hpo.errors import UserError
from hpo.records import reported_epoch
from hpo.rng import Key
from hpo.trainer.connection import Connection
from hpo.trainer.messages import AskPruner, Attribute, Begin, Epoch, Found, OptunaSearch, Past, Suggested
from hpo.trainer.optuna_sobol import SobolSampler
from hpo.training.optuna_scripts import HOW_TO_GET_IT, ONLY_HPO_TRIAL

_STUDY_ID = 0
_LONGEST_NAME = 512
"""Characters of a name in Optuna's tables."""
_STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}

_past: dict[str, dict[int, FrozenTrial]] = {}
"""By study, its trials that have ended, as far as the worker has told."""


def optuna_trial(begin: Begin, connection: Connection) -> optuna.Trial:
    """Return the trial that the worker has begun. Its study has the trials that have ended so far."""
    search = begin.optuna
    assert search is not None, "only a trial with Optuna's interface comes here"
    known = _past.setdefault(search.study_uid, {})
    known.update((past.number, _frozen(past)) for past in search.past)
    storage = _WorkersStorage(begin, connection, list(known.values()))
    seed = (Key(begin.seed, begin.path) / "suggest").integer() % 2**32
    study = _Study(begin.study, storage, _sampler(begin, search, seed), _WorkersPruner(storage))
    return _Trial(study, begin.number)


class _Trial(optuna.Trial):
    """Takes all choices that JSON can hold: a tuple is stored as ``"[1, 2]"``, and returned as a tuple.

    A training that takes it for an ``hpo.Trial`` is told how to get one.
    """

    def __getattr__(self, name: str) -> Any:
        """Raise ``AttributeError``: only for names that ``optuna.Trial`` does not have."""
        if name in ONLY_HPO_TRIAL:
            raise AttributeError(
                f"trial.{name} is of hpo.Trial, and this is an optuna.Trial: {HOW_TO_GET_IT}"
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __getitem__(self, name: object) -> NoReturn:
        """Raise ``TypeError``: an ``optuna.Trial`` has no items."""
        raise TypeError(f"trial[{name!r}] is of hpo.Trial, and this is an optuna.Trial: {HOW_TO_GET_IT}")

    __iter__ = None  # nor is it iterable

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return one of the choices; see ``optuna.Trial``. Raises ``UserError`` for one that is no JSON."""
        given = list(choices)
        stored = [_stored_choice(name, each) for each in given]
        value = super().suggest_categorical(name, stored)
        return given[_place(stored, value)]


def _stored_choice(name: str, choice: Any) -> Any:
    if choice is None or isinstance(choice, bool | int | float | str):
        return choice
    try:
        found = plain_value(choice)
        return json.dumps(found) if isinstance(found, list | dict) else found
    except (TypeError, ValueError, RecursionError):
        what = repr(choice)[:60]
        raise UserError(
            f"suggest_categorical({name!r}): {what} cannot be stored; choose by its name, as in "
            "{'relu': nn.ReLU}[trial.suggest_categorical('layer', ['relu'])]"
        ) from None


def _place(choices: Sequence[Any], value: Any) -> int:
    """Return where a value is that Optuna has drawn or that was enqueued; True before 1, NaN is NaN."""
    exact = [place for place, each in enumerate(choices) if each is value]
    same = [place for place, each in enumerate(choices) if each == value and type(each) is type(value)]
    equal = [place for place, each in enumerate(choices) if each == value or value != value != each]
    return next(iter([*exact, *same, *equal]))


class _Study(optuna.Study):
    """The study of a running trial."""

    def stop(self) -> None:
        """Refuse to end the study, which has other workers."""
        _refuse("the study cannot be stopped: use `hpo stop`, or max_consecutive_failures")


def _sampler(begin: Begin, search: OptunaSearch, seed: int) -> BaseSampler:
    options = search.options
    if search.sampler == "random":
        return RandomSampler(seed=seed)
    if search.sampler == "sobol":
        return SobolSampler(begin.number, (Key(begin.seed) / "sobol").integer(), seed)
    if search.sampler == "gp":
        return GPSampler(seed=seed, n_startup_trials=options["startup"], warn_independent_sampling=False)
    return TPESampler(seed=seed, n_startup_trials=options["startup"], n_ei_candidates=options["candidates"])


@cache
def _distribution(text: str) -> BaseDistribution:
    return json_to_distribution(text)


def _frozen(past: Past) -> FrozenTrial:
    distributions = {name: _distribution(text) for name, (_, text) in past.parameters.items()}
    now = datetime.now()
    return FrozenTrial(
        number=past.number,
        trial_id=past.number,
        state=_STATES[past.outcome],
        value=past.value,
        datetime_start=now,
        datetime_complete=now,
        params={
            name: distributions[name].to_external_repr(value) for name, (value, _) in past.parameters.items()
        },
        distributions=distributions,
        user_attrs={},
        system_attrs={},
        intermediate_values=past.reported,
    )


class _WorkersPruner(BasePruner):
    """Asks the worker, which compares the trial with those of all workers."""

    def __init__(self, storage: _WorkersStorage) -> None:
        self._storage = storage

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether the trial must end: see ``BasePruner``."""
        return self._storage.asks_pruner()


class _WorkersStorage(BaseStorage):
    """One study with one running trial; what is written goes to the worker. A trial's id is its number."""

    def __init__(self, begin: Begin, connection: Connection, past: Sequence[FrozenTrial]) -> None:
        self._begin = begin
        self._connection = connection
        self._reports = 0
        self._reported_at = time.monotonic()
        self._last_step = -1
        self._running = FrozenTrial(
            number=begin.number,
            trial_id=begin.number,
            state=TrialState.RUNNING,
            value=None,
            datetime_start=datetime.now(),
            datetime_complete=None,
            params={},
            distributions={},
            user_attrs={},
            # As `study.enqueue_trial` does.
            system_attrs={"fixed_params": dict(begin.parameters)} if begin.parameters else {},
            intermediate_values={},
        )
        self._trials = sorted([*past, self._running], key=lambda trial: trial.number)
        self._distributions = {
            name: each for trial in past for name, each in trial.distributions.items()
        }  # the newest

    def asks_pruner(self) -> bool:
        """Whether the worker's pruner ends the trial here."""
        search = self._begin.optuna
        if search is None or not search.prunes or not self._reports:
            return False
        return self._connection.ask(AskPruner())

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        _check_name("a parameter", param_name)
        known = self._distributions.get(param_name, distribution)
        try:
            check_distribution_compatibility(known, distribution)
        except ValueError as error:
            drawn = f"earlier trials drew it from {known}, this one from {distribution}"
            raise ValueError(f"parameter {param_name}: {error} ({drawn}: give it another name)") from None
        self._connection.check()
        text = distribution_to_json(distribution)
        self._connection.send(Suggested(param_name, float(param_value_internal), text))

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        self._reports += 1
        metrics = {self._begin.objective: float(intermediate_value)}
        if step not in (self._reports - 1, self._reports):
            metrics["step"] = float(step)
        now = time.monotonic()
        result = reported_epoch(self._reports, metrics, now - self._reported_at)
        self._reported_at = now
        self._connection.ask(Epoch(result, self._reports, Found()))
        self._connection.check()

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        _check_name("an attribute", key)
        try:
            self._connection.send(Attribute(key, plain_value(value)))
        except (TypeError, ValueError, RecursionError) as error:
            raise UserError(f"set_user_attr({key!r}): the value cannot be stored: {error}") from None

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._running.system_attrs[key] = value

    def get_trial(self, trial_id: int) -> FrozenTrial:
        for trial in self._trials:
            if trial.number == trial_id:
                return trial
        raise KeyError(f"no trial {trial_id}")

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        found = [trial for trial in self._trials if states is None or trial.state in states]
        return deep_copy(found) if deepcopy else found

    def get_study_id_from_name(self, study_name: str) -> int:
        return _STUDY_ID

    def get_study_name_from_id(self, study_id: int) -> str:
        return self._begin.study

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return [StudyDirection[self._begin.direction.upper()]]

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return {}

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return {}

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        _refuse("a study cannot be created")

    def delete_study(self, study_id: int) -> None:
        _refuse("the study cannot be deleted")

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        _refuse("attributes of the study cannot be set")

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        _refuse("attributes of the study cannot be set")

    def get_all_studies(self) -> list[Any]:
        _refuse("the studies cannot be listed")

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        _refuse("a trial cannot be added: use `hpo enqueue`")

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        _refuse("the trial cannot be ended: return its value, or raise optuna.TrialPruned")


def _check_name(what: str, name: object) -> None:
    """Raise ``UserError`` for a name that Optuna's tables do not take in every database."""
    if not isinstance(name, str) or len(name) > _LONGEST_NAME or "\0" in name:
        raise UserError(f"{repr(name)[:40]} is not a valid name of {what}: a text of at most {_LONGEST_NAME}")


def _refuse(what: str) -> NoReturn:
    raise RuntimeError(f"within an objective that hpo runs, {what}")
