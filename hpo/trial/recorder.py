"""What a trial has found and measured so far, on its way to the database."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import safetensors.torch

from hpo.artifacts.best_weights import BestWeights
from hpo.checks.babysitter import Babysitter
from hpo.records import EpochResult, Finding, Remedy
from hpo.training.data import TrialData
from hpo.training.state import EpochState
from hpo.trial.writer import BackgroundWriter, Unsent


class TrialRecorder:
    """Tells ``outbox`` each thing once; a checkpoint says how far it came."""

    def __init__(self, outbox: BackgroundWriter) -> None:
        self._outbox = outbox
        self.curve: list[EpochResult] = []
        self.findings: list[Finding] = []
        self.findings_stored = 0
        """How many of the babysitter's."""
        self.layers_stored = -1
        """The step of the last look at the layers."""

    def go_on(self, progress: TrialProgress, sitter: Babysitter) -> None:
        """Begin where an earlier worker left the trial."""
        self.curve = progress.curve
        self.findings = sitter.findings[: progress.findings_stored]
        self.findings_stored, self.layers_stored = progress.findings_stored, progress.layers_stored
        self._outbox.again(progress.unsent)

    def record(self, epoch: EpochResult) -> None:
        """Add a point of ``curve`` to the stored one."""
        self._outbox.epoch(epoch)

    def keep(self, sitter: Babysitter) -> None:
        """Store what the babysitter has found and read since the last time."""
        self._found(sitter.findings[self.findings_stored :])
        self.findings_stored = len(sitter.findings)
        fresh = [each for each in sitter.layers if each.step > self.layers_stored]
        if fresh:
            epoch = len(self.curve)
            self._outbox.layers([replace(layer, epoch=epoch) for each in fresh for layer in each.layers])
            self.layers_stored = fresh[-1].step

    def keep_statistics(self, data: TrialData) -> str:
        """Store what preprocessing learned, so that the network can be used on new images; its SHA-256."""
        packed = safetensors.torch.save(
            {name: part.cpu() for name, part in data.preprocessor.state().items()}
        )
        fingerprint = hashlib.sha256(packed).hexdigest()
        self._outbox.statistics(fingerprint, packed)
        return fingerprint

    def note(self, about: str, step: int, message: str) -> None:
        """Something about the trial's files that a person may want to know."""
        self._found([Finding(about, "note", math.nan, math.nan, message, step=step)])

    def decided(self, finding: Finding) -> None:
        """What the search decided on the trial."""
        self._found([finding])

    def fail(self, cause: str, message: str, remedy: str) -> None:
        """The trial cannot go on, for a reason that no check found."""
        failure = Finding(
            cause, "fatal", math.nan, math.nan, message, Remedy(remedy), cause=cause, confidence=1.0
        )
        self._found([failure])

    def _found(self, findings: Sequence[Finding]) -> None:
        self.findings += findings
        epoch = len(self.curve)
        self._outbox.findings([replace(finding, epoch=epoch) for finding in findings])


@dataclass(frozen=True)
class TrialProgress:
    """How far a trial is; its weights, optimizer and babysitter are elsewhere."""

    position: EpochState
    curve: list[EpochResult]
    findings_stored: int = 0
    """How many of the babysitter's findings are in the database, or unsent."""
    layers_stored: int = -1
    """The step of the last look at the layers that is."""
    unsent: list[Unsent] = field(default_factory=list)
    """What the database, being away, did not confirm."""
    step: int = 0
    """How many steps are done, over all epochs."""
    best: BestWeights = field(default_factory=BestWeights)
