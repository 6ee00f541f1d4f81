"""A training that draws its parameters itself, with Optuna's interface: the worker's side of it."""

from __future__ import annotations

from typing import Any, cast

from hpo.config.study import StudySpec
from hpo.records import Decision, OutcomeState
from hpo.search.history import PastTrial, TrialHistory
from hpo.storage.suggested import StoredParameter, parameters_of, record_suggested
from hpo.trainer.messages import Attribute, OptunaSearch, Past, Suggested
from hpo.trainer.process import TrainerProcess, TrainingProcess
from hpo.trial.session import TrialSession


class OptunaInterface:
    """Stores what a trial with Optuna's interface draws and sets, and asks the pruner for it."""

    def __init__(self, session: TrialSession) -> None:
        self._session = session
        self._parameters: dict[str, StoredParameter] = {}
        self._attributes: dict[str, Any] = {}
        self._decision: Decision | None = None

    def begin(self, process: TrainingProcess) -> OptunaSearch | None:
        """Return what the process needs to draw; None for a trial whose parameters are drawn already."""
        context = self._session.begun.context
        spec = self._session.begun.stage.spec
        if spec.interface != "optuna" or not isinstance(process, TrainerProcess):
            return None
        told = process.told.setdefault(context.study_uid, set())
        past = [each for each in self._history().read() if each.outcome and each.trial_id not in told]
        told.update(each.trial_id for each in past)
        return OptunaSearch(
            study_uid=context.study_uid,
            sampler=spec.sampler.name,
            options=spec.sampler.options.model_dump(),
            prunes=spec.pruner.rules is not None,
            past=self._described(spec, past),
        )

    def _history(self) -> TrialHistory:
        begun = self._session.begun
        return begun.context.suggestions.history(begun.stage.name)

    def _described(self, spec: StudySpec, past: list[PastTrial]) -> list[Past]:
        parameters = parameters_of(self._session.begun.context.store, [each.trial_id for each in past])
        return [
            Past(
                number=each.number,
                outcome=cast("OutcomeState", each.outcome),
                value=_value(spec, each.score) if each.outcome == "complete" else None,
                reported=_last_report(spec, each),
                parameters={
                    name: (found.value, found.distribution)
                    for name, found in parameters[each.trial_id].items()
                },
            )
            for each in past
        ]

    def restart(self) -> None:
        """Note that a resumed trial starts over if it has Optuna's interface, which saves nothing."""
        if self._session.begun.stage.spec.interface == "optuna":
            self._session.recorder.note(
                "restarted", 0, "its worker ended: the trial began again, as optuna.Trial saves nothing"
            )

    def take(self, message: Suggested | Attribute) -> None:
        """Keep what the training has drawn or set until ``store``."""
        if isinstance(message, Suggested):
            self._parameters[message.name] = StoredParameter(message.value, message.distribution)
        else:
            self._attributes[message.name] = message.value

    def store(self) -> None:
        """Store what has come since the last time."""
        if self._parameters or self._attributes:
            begun = self._session.begun
            record_suggested(
                begun.context.store, begun.lease, begun.trial_id, self._parameters, self._attributes
            )
            self._parameters, self._attributes = {}, {}

    def prunes(self) -> bool:
        """Whether the study's pruner ends the trial at the epoch that it has reported last."""
        self._decision = self._session.decision(_NO_BUDGET)
        return self._decision is not None and self._decision.action != "goes_on"

    def pruned(self) -> Decision:
        """Return the decision by which the training has ended itself."""
        if self._decision is not None and self._decision.action != "goes_on":
            return self._decision
        return Decision("stopped", "the training raised TrialPruned")


_NO_BUDGET = 10**6
"""Epochs of a trial that does not tell how many it trains: it may be pruned at each."""


def _value(spec: StudySpec, score: float | None) -> float | None:
    return None if score is None else spec.goal.value(score)


def _last_report(spec: StudySpec, trial: PastTrial) -> dict[int, float]:
    value = _value(spec, trial.reached)
    return {} if value is None or not trial.epochs else {trial.epochs: value}
