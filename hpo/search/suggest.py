"""A slot's configuration, drawn once, when its trial begins; whoever goes on with the trial reads it back."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from hpo.config.configuration import Configuration, applies
from hpo.config.space import Distribution
from hpo.config.study import StudySpec
from hpo.search.history import History
from hpo.search.samplers.optuna import Draw, searched_values
from hpo.search.samplers.pure import is_finite, random_draw, signature, unused_point
from hpo.search.samplers.registry import LEARNING, sample_slot
from hpo.storage.fence import Lease
from hpo.storage.optuna.distributions import as_parameters
from hpo.storage.store import OtherTrialsStartedError, ResultsStore
from hpo.testing.faults import fault_point

MOST_TRIES = 3
"""Draws of which others that began meanwhile must have known; with many workers there is always one."""
MOST_REDRAWS = 3
"""Draws of what the database has already before another point of the space is taken at random."""


@dataclass(frozen=True)
class Suggestion:
    """A draw, and how many trials of the stage had begun when it was made; None if it learned from none."""

    draw: Draw
    begun: int | None = None


@dataclass(frozen=True)
class Begun:
    """A trial that is registered, with its configuration and what of it was drawn or given."""

    trial_id: int
    number: int
    configuration: Configuration
    values: dict[str, Any]


class Suggestions:
    """What the slots of a study get. A worker has one: it keeps the trials that have ended."""

    def __init__(self, store: ResultsStore, study_id: int, space: Mapping[str, Distribution]) -> None:
        self._store = store
        self._study_id = study_id
        self._space = space
        self._histories: dict[str, History] = {}

    def begin(
        self, hold: Lease, spec: StudySpec, given: Mapping[str, Any], *, dataset: str, device: str
    ) -> Begun:
        """Register the slot's trial with what was given and drawn for it, or find it registered.

        ``spec`` is that of the slot's stage. Raises ``LeaseLostError``.
        """
        stored = self._store.trial_of(hold)
        if stored is not None:
            trial_id, number, document = stored
            values = searched_values(spec.space, document) | _that_apply(given, document)
            return Begun(trial_id, number, Configuration.stored(document), values)
        drawn_from = spec.giving(given)
        for tries in range(1, MOST_TRIES + 1):
            suggestion = self.suggest(drawn_from, hold.stage, hold.slot)
            if tries == MOST_TRIES:
                suggestion = replace(suggestion, begun=None)
            fault_point("trial.drawn")
            with suppress(OtherTrialsStartedError):
                return self._register(hold, drawn_from, given, suggestion, dataset, device)
        raise AssertionError("the last try is accepted whoever began meanwhile")

    def suggest(self, spec: StudySpec, stage: str, slot: int) -> Suggestion:
        """The draw of a slot whose trial has not begun."""
        learned = LEARNING.get(spec.sampler.name)
        if learned is None:
            return Suggestion(Draw(sample_slot(spec, slot), {}))
        past = self._history(stage).look()
        if sum(trial.outcome is not None for trial in past) < spec.sampler.options.startup:
            return Suggestion(Draw(random_draw(spec, slot), {}))
        taken = {signature(spec, searched_values(spec.space, trial.configuration)) for trial in past}
        for again in range(MOST_REDRAWS if is_finite(spec) else 1):
            found = learned(spec, slot, again, past)
            if signature(spec, found.values) not in taken:
                return Suggestion(found, len(past))
        other = unused_point(spec, slot, taken)
        return Suggestion(found if other is None else Draw(other, {}), len(past))

    def _history(self, stage: str) -> History:
        if stage not in self._histories:
            self._histories[stage] = History(self._store, self._study_id, stage)
        return self._histories[stage]

    def _register(
        self,
        hold: Lease,
        spec: StudySpec,
        given: Mapping[str, Any],
        suggestion: Suggestion,
        dataset: str,
        device: str,
    ) -> Begun:
        drawn = suggestion.draw.values
        configuration = spec.configuration({**drawn, "dataset": dataset})
        values = _that_apply(given, configuration.model_dump()) | drawn
        parameters = as_parameters(self._space, values)
        trial_id, number = self._store.begin_trial(
            hold,
            params={name: value for name, (value, _) in parameters.items()},
            distributions={name: distribution for name, (_, distribution) in parameters.items()},
            configuration=configuration.applicable(),
            device=device,
            attributes=suggestion.draw.attributes,
            begun=suggestion.begun,
        )
        return Begun(trial_id, number, configuration, values)


def _that_apply(given: Mapping[str, Any], configuration: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if applies(name, configuration)}
