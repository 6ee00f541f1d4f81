"""Recorder: what a trial has found and measured so far, on its way to the database and to the watchers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from hpo.checks.causes import JUDGED_BY_STUDY
from hpo.checks.preflight import Snapshot
from hpo.events import EpochDone, FindingMade
from hpo.records import ClassResult, EpochResult, Finding, Remedy, class_results
from hpo.training.callbacks import Callback, History
from hpo.trial.context import BegunTrial
from hpo.trial.writer import BackgroundWriter, PendingRecord


class Evidence(Protocol):
    """What the checks of a training have found so far, such as a ``Babysitter``."""

    findings: list[Finding]

    @property
    def layers(self) -> Sequence[Snapshot]:
        """Layer statistics so far."""


@dataclass(frozen=True)
class RecorderState:
    """How far the recording of a trial is."""

    curve: list[EpochResult]
    findings_stored: int
    """The number of the checks' findings that are in the database, or pending."""
    layers_stored: int
    """The step of the last layer statistics that are."""
    pending: list[PendingRecord]
    """What the database has not confirmed yet, perhaps because it is unreachable."""


class TrialRecorder(Callback):
    """Records each epoch, finding and layer statistic of a trial once, and emits its events.

    ``history`` belongs before it in the list of callbacks.
    """

    def __init__(self, begun: BegunTrial, writer: BackgroundWriter) -> None:
        self.writer = writer
        self.history = History()
        self.findings: list[Finding] = []
        self._begun = begun
        self._findings_stored = 0
        self._layers_stored = -1

    @property
    def curve(self) -> list[EpochResult]:
        """The epochs so far."""
        return self.history.curve

    def state(self) -> RecorderState:
        """Return what ``resume`` needs."""
        return RecorderState(self.curve, self._findings_stored, self._layers_stored, self.writer.pending())

    def resume(self, state: RecorderState, found: Sequence[Finding]) -> None:
        """Start where an earlier worker stopped, which had ``found`` these."""
        self.history.curve = state.curve
        self.findings = list(found[: state.findings_stored])
        self._findings_stored, self._layers_stored = state.findings_stored, state.layers_stored
        self.writer.requeue(state.pending)

    def on_epoch_end(self, result: EpochResult) -> None:
        """Record an epoch."""
        begun, confusion = self._begun, result.val_confusion
        best = begun.context.spec.goal.best_epoch(self.curve)
        is_best = best is not None and best.epoch == result.epoch and begun.stage.kind != "test"
        self.writer.epoch(result, self._classes(confusion, result.epoch) if is_best and confusion else ())
        begun.context.emit(
            EpochDone(
                begun.context.worker,
                begun.number,
                begun.configuration.epochs or 0,
                replace(result, val_confusion=()),  # many numbers
                begun.context.spec.objective,
            )
        )

    def on_test(self, confusion: Sequence[Sequence[int]]) -> None:
        """Record what is predicted for the test images: counts (C, C) by class and by class predicted."""
        self.writer.classes(self._classes(confusion, len(self.curve)))

    def _classes(self, confusion: Sequence[Sequence[int]], epoch: int) -> list[ClassResult]:
        dataset = self._begun.context.dataset
        names = tuple(map(str, range(len(confusion)))) if dataset is None else dataset.classes
        return class_results(confusion, names, epoch)

    def record_findings(self, evidence: Evidence) -> None:
        """Record what the checks have found and measured since the last time."""
        new = [_as_trial(each) for each in evidence.findings[self._findings_stored :]]
        self._record(new)
        self._findings_stored = len(evidence.findings)
        fresh = [each for each in evidence.layers if each.step > self._layers_stored]
        if fresh:
            epoch = len(self.curve)
            self.writer.layers([replace(layer, epoch=epoch) for each in fresh for layer in each.layers])
            self._layers_stored = fresh[-1].step
        for finding in new:
            if finding.severity != "pass":
                self._emit_finding(finding)

    def note(self, about: str, step: int, message: str) -> None:
        """Record a note on the trial's files."""
        self._record([Finding(about, "note", math.nan, math.nan, message, step=step)])

    def record_decision(self, finding: Finding) -> None:
        """Record what the search decided about the trial."""
        self._record([finding])

    def fail(self, cause: str, message: str, remedy: str) -> None:
        """Record why the trial fails, for a reason that no check found."""
        failure = Finding(
            cause, "fatal", math.nan, math.nan, message, Remedy(remedy), cause=cause, confidence=1.0
        )
        self._record([failure])

    def _emit_finding(self, finding: Finding) -> None:
        message = f"{finding.layer}: {finding.message}" if finding.layer else finding.message
        context, number = self._begun.context, self._begun.number
        context.emit(FindingMade(context.worker, number, finding.severity, finding.check, message))

    def _record(self, findings: Sequence[Finding]) -> None:
        self.findings += findings
        epoch = len(self.curve)
        self.writer.findings([replace(finding, epoch=epoch) for finding in findings])


def _as_trial(finding: Finding) -> Finding:
    """Return a finding as a single trial states it: what the study judges is a note."""
    if finding.severity == "warn" and finding.cause in JUDGED_BY_STUDY:
        return replace(finding, severity="note")
    return finding
