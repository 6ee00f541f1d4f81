"""The seam between a trial and what trains it: a trainer reports to a session, which records and decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from hpo.checks.evidence import Coverage
from hpo.checks.preflight import Snapshot
from hpo.config.tradeoff import BEFORE_TRAINING, broken
from hpo.records import Decision, EpochResult, Finding, Runtime
from hpo.stages.store import Stage
from hpo.trial.context import BegunTrial, TrialControl
from hpo.trial.pruning import EndedEarlyError, decide, finding, rung_of
from hpo.trial.recorder import Evidence, RecorderState, TrialRecorder


class TrialStoppedError(Exception):
    """A check ended the training; carries its finding."""

    def __init__(self, finding: Finding) -> None:
        self.finding = finding
        super().__init__(finding.message)


class BeyondLimitError(Exception):
    """The trial is beyond the study's limit, as its message says, so that there is no need to train it."""


class TrialFailedError(Exception):
    """The trial cannot be trained, for a reason that no check found. ``cause`` is a key of ``CAUSES``."""

    def __init__(self, cause: str, message: str, remedy: str = "", trace: str | None = None) -> None:
        self.cause = cause
        self.remedy = remedy
        self.trace = trace
        """The traceback of the user's code."""
        super().__init__(message)


def beyond(stage: Stage, amounts: Mapping[str, float]) -> str:
    """Return in words which limits these amounts break; empty for a confirmation: none is judged twice."""
    return broken(stage.spec.tradeoffs.limits, amounts) if stage.kind == "search" else ""


def stop_if_fatal(findings: Sequence[Finding]) -> None:
    """Raise ``TrialStoppedError`` if one of the findings is fatal."""
    fatal = next((each for each in findings if each.severity == "fatal"), None)
    if fatal is not None:
        raise TrialStoppedError(fatal)


@dataclass
class NoEvidence:
    """That of a training without checks."""

    findings: list[Finding] = field(default_factory=list)
    layers: Sequence[Snapshot] = ()


@dataclass
class Products:
    """What a training has produced so far; None if it did not get that far."""

    parameters: int | None = None
    milliseconds: float | None = None
    """To classify one image."""
    weights_hash: str | None = None
    test_value: float | None = None
    coverage: Callable[[], Coverage] | None = None
    """Returns what the checks looked at; None if that is not known."""
    is_checked: bool = False
    """Whether any check has run."""
    value: float | None = None
    """The trial's value, if the training returned one; else the best reported one counts."""
    save_best: Callable[[EpochResult, float], None] | None = None
    """Saves the weights of the best epoch if the trial, with this value, is one of its study's best."""


class TrialSession:
    """What a trainer reports a trial to, and what tells the trainer when to stop.

    A trainer restores its newest checkpoint, calls ``resume``, ``watch`` and ``start``, saves each epoch and
    then reports it by ``epoch``: a worker that is killed in between does not train the epoch again.
    """

    def __init__(self, begun: BegunTrial, recorder: TrialRecorder, control: TrialControl) -> None:
        self.begun = begun
        self.recorder = recorder
        self.control = control
        self.products = Products()
        self.evidence: Evidence = NoEvidence()
        self.unsaved = ""
        """Why not every checkpoint was written; empty if all were."""
        self._steps = 0

    @property
    def is_resumed(self) -> bool:
        """Whether an earlier worker has begun the trial."""
        return self.begun.lease.trial_id is not None

    def watch(self, evidence: Evidence) -> None:
        """Set where the findings of this training are collected."""
        self.evidence = evidence

    def resume(
        self, restored: RecorderState | None, steps: int, refused: Sequence[tuple[int, str]] = ()
    ) -> None:
        """Continue after the restored epochs and ``steps`` steps in all; None if nothing was restored.

        What an earlier worker recorded beyond them is deleted. ``refused`` are the step and the flaw of each
        checkpoint that could not be used.
        """
        begun, recorder = self.begun, self.recorder
        epochs = len(restored.curve) if restored else 0
        step = steps if restored else -1
        recorded = begun.context.store.rewind(begun.lease, begun.trial_id, epoch=epochs, step=step)
        for at_step, reason in refused:
            recorder.note(
                "checkpoint", at_step, f"the checkpoint of step {at_step} was not used: it {reason}"
            )
        if restored is None:
            return
        self._steps = steps
        recorder.resume(restored, self.evidence.findings)
        for epoch in recorder.curve[recorded:]:
            recorder.on_epoch_end(epoch)

    def start(self) -> None:
        """Record what was found before training. Raises like ``epoch``: it may resume at a rung."""
        self.record()
        self._decide()

    def epoch(self, result: EpochResult, steps: int) -> None:
        """Record an epoch of the history, which ends after ``steps`` steps in all, and what was found in it.

        Raises ``TrialStoppedError`` if a finding is fatal, and ``EndedEarlyError`` if the pruner stops or
        pauses the trial here.
        """
        self._steps = steps
        self.recorder.on_epoch_end(result)
        self.start()

    def record(self) -> None:
        """Record the findings that are new. Raises ``TrialStoppedError`` if one is fatal."""
        self.recorder.record_findings(self.evidence)
        self.products.is_checked |= bool(self.evidence.findings)
        stop_if_fatal(self.evidence.findings)

    def refuse_beyond_limit(self) -> None:
        """Raise ``BeyondLimitError`` if what is known before training breaks a limit of the search."""
        produced = {name: getattr(self.products, name) for name in BEFORE_TRAINING}
        broken = beyond(self.begun.stage, {name: each for name, each in produced.items() if each is not None})
        if broken:
            raise BeyondLimitError(broken)

    def check(self) -> None:
        """Raise the error for which this worker must leave the trial, if there is one.

        ``LeaseLostError`` if the slot is lost; ``StopRequestedError``, or ``StorageError`` if the database is
        gone or unusable: the trainer then saves the trial first.
        """
        self.control.raise_if_lost()
        self.recorder.writer.check()
        self.control.check_stop()

    def decision(self, epochs: int) -> Decision | None:
        """Compare the trial, which has ``epochs`` to train, with the others; None if it is at no rung."""
        begun, pruner, goal = self.begun, self.begun.stage.spec.pruner.rules, self.begun.context.spec.goal
        rung = rung_of(pruner, begun.lease.slot, epochs, self.recorder.curve, goal)
        if pruner is None or rung is None:
            return None
        decision = decide(begun.context.store, pruner, begun.lease, begun.trial_id, rung)
        self.recorder.record_decision(finding(decision, rung, self._steps - 1, goal))
        return decision

    def _decide(self) -> None:
        epochs, asks = self.begun.configuration.epochs, self.begun.stage.spec.interface == "optuna"
        decision = None if epochs is None or asks else self.decision(epochs)
        if decision is not None and decision.action != "goes_on":
            raise EndedEarlyError(decision)


class Trainer(Protocol):
    """What trains the trials of a study."""

    def runtime(self, configuration: Any) -> Runtime:
        """Return what a training of the configuration would run on."""

    def less_memory(self, configuration: Any) -> str:
        """Return the remedy for too little memory."""

    def train(self, session: TrialSession) -> None:
        """Train the session's trial to its end.

        Raises what the session raises, and ``TrialFailedError`` or any other exception if the trial fails.
        """
