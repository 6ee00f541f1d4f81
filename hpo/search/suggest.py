"""A slot's configuration: drawn once, when its trial starts, and read back when the trial is resumed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from hpo.config.hyperparameters import TrialConfiguration
from hpo.config.space import Distribution
from hpo.config.study import StudySpec
from hpo.search.history import TrialHistory
from hpo.search.samplers.optuna import Draw
from hpo.search.samplers.pure import is_finite, random_draw, signature, unused_point
from hpo.search.samplers.registry import LEARNING, sample_slot
from hpo.storage.fence import Lease
from hpo.storage.optuna.distributions import as_parameters
from hpo.storage.store import OtherTrialsStartedError, ResultsStore
from hpo.testing.faults import fault_point

MAX_TRIES = 3
"""Suggestions per slot, if other trials start meanwhile: with many workers one always does."""
MAX_DUPLICATES = 3
"""Duplicates of earlier trials that a sampler may suggest before a random unused point replaces them."""


@dataclass(frozen=True)
class Suggestion:
    """A draw, and the number of trials in the stage when it was made; None if it learned from none."""

    draw: Draw
    begun: int | None = None


@dataclass(frozen=True)
class RegisteredTrial:
    """A trial in the database, with its configuration and the values of it that were drawn or given."""

    trial_id: int
    number: int
    configuration: TrialConfiguration
    values: dict[str, Any]


class Suggestions:
    """Suggests configurations for the slots of a study. A worker has one; it caches finished trials."""

    def __init__(self, store: ResultsStore, study_id: int, space: Mapping[str, Distribution]) -> None:
        self._store = store
        self._study_id = study_id
        self._space = space
        self._histories: dict[str, TrialHistory] = {}

    def begin(
        self,
        lease: Lease,
        spec: StudySpec,
        given: Mapping[str, Any],
        *,
        images: Mapping[str, str],
        device: str,
    ) -> RegisteredTrial:
        """Register the slot's trial with its given and drawn values, or return it if it is registered.

        ``spec`` is that of the slot's stage; ``images`` are the fields that the study is bound to. Raises
        ``LeaseLostError``.
        """
        stored = None if lease.trial_id is None else self._store.trial_of(lease)
        if stored is not None:
            trial_id, number, document = stored
            values = spec.searched(document) | _that_apply(spec, given, document)
            return RegisteredTrial(trial_id, number, spec.hyperparameters.stored(document), values)
        drawn_from = spec.with_fixed(given)
        for attempt in range(1, MAX_TRIES + 1):
            suggestion = self.suggest(drawn_from, lease.stage, lease.slot)
            if attempt == MAX_TRIES:
                suggestion = replace(suggestion, begun=None)
            fault_point("trial.drawn")
            with suppress(OtherTrialsStartedError):
                return self._register(lease, drawn_from, given, suggestion, images, device)
        raise AssertionError("the last suggestion is accepted even if other trials started meanwhile")

    def suggest(self, spec: StudySpec, stage: str, slot: int) -> Suggestion:
        """Return the draw of a slot whose trial has not started."""
        if spec.interface == "optuna":  # the training draws
            return Suggestion(Draw({}, {}))
        sampler = LEARNING.get(spec.sampler.name)
        if sampler is None:
            return Suggestion(Draw(sample_slot(spec, slot), {}))
        past = self.history(stage).read()
        if sum(trial.outcome is not None for trial in past) < spec.sampler.options.startup:
            return Suggestion(Draw(random_draw(spec, slot), {}))
        used = {signature(spec, spec.searched(trial.configuration)) for trial in past}
        for attempt in range(MAX_DUPLICATES if is_finite(spec) else 1):
            found = sampler(spec, slot, attempt, past)
            if signature(spec, found.values) not in used:
                return Suggestion(found, len(past))
        other = unused_point(spec, slot, used)
        return Suggestion(found if other is None else Draw(other, {}), len(past))

    def history(self, stage: str) -> TrialHistory:
        """Return the trials of a stage."""
        if stage not in self._histories:
            self._histories[stage] = TrialHistory(self._store, self._study_id, stage)
        return self._histories[stage]

    def _register(
        self,
        lease: Lease,
        spec: StudySpec,
        given: Mapping[str, Any],
        suggestion: Suggestion,
        images: Mapping[str, str],
        device: str,
    ) -> RegisteredTrial:
        drawn = suggestion.draw.values
        configuration = spec.configuration(drawn, images)
        values = _that_apply(spec, given, configuration.model_dump()) | drawn
        parameters = as_parameters(self._space, values)
        trial_id, number = self._store.begin_trial(
            lease,
            params={name: value for name, (value, _) in parameters.items()},
            distributions={name: distribution for name, (_, distribution) in parameters.items()},
            configuration=configuration.applicable(),
            device=device,
            attributes=suggestion.draw.attributes,
            begun=suggestion.begun,
        )
        return RegisteredTrial(trial_id, number, configuration, values)


def _that_apply(
    spec: StudySpec, given: Mapping[str, Any], configuration: Mapping[str, Any]
) -> dict[str, Any]:
    applies = spec.hyperparameters.applies
    return {name: value for name, value in given.items() if applies(name, configuration)}
