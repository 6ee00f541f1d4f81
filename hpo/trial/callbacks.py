"""Between the steps of a training: is the lease held, is it time to save or to stop, what do losses say."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from hpo.artifacts.best_weights import BestWeights
from hpo.checks.babysitter import Babysitter
from hpo.checks.judge import LOOK_STEPS
from hpo.queue.lease_keeper import LeaseKeeper
from hpo.records import Finding
from hpo.settings import settings
from hpo.signals import StopRequestedError
from hpo.training.state import EpochState
from hpo.trial.checkpoint import capture
from hpo.trial.checkpoint_files import Checkpoints
from hpo.trial.recorder import TrialProgress, TrialRecorder
from hpo.trial.setup import TrialSetup
from hpo.trial.writer import BackgroundWriter


class TrialStoppedError(Exception):
    """A check ended the training; carries its finding."""

    def __init__(self, finding: Finding) -> None:
        self.finding = finding
        super().__init__(finding.message)


class Watched(Protocol):
    """What of a trial is asked and saved while it trains."""

    renewal: LeaseKeeper
    outbox: BackgroundWriter
    journal: TrialRecorder
    saved: Checkpoints
    best: BestWeights

    def check_stop(self) -> None:
        """Raises ``StopRequestedError``."""


class Watch:
    """What happens between steps: is the lease held, is it time to save or to stop; and read the losses."""

    interval = LOOK_STEPS

    def __init__(self, trial: Watched, ready: TrialSetup, sitter: Babysitter) -> None:
        self._trial = trial
        self._ready = ready
        self._sitter = sitter
        self._saved = time.monotonic()

    def on_steps(self, step: int, losses: Tensor) -> None:
        """Raises ``TrialStoppedError``."""
        self._sitter.steps(losses)
        stop_if_fatal(self._sitter.findings)

    def is_due(self) -> bool:
        """Whether to save now: a minute has passed, or this worker shall stop. Raises ``LeaseLostError``."""
        self._trial.renewal.raise_if_lost()
        self._trial.outbox.check()
        try:
            self._trial.check_stop()
        except StopRequestedError:
            return True
        return time.monotonic() - self._saved >= settings().checkpoint_seconds

    def keep(self, state: EpochState) -> None:
        """Raises ``StopRequestedError``."""
        self.save(state)
        self._trial.check_stop()

    def save(self, state: EpochState) -> None:
        """Save everything as it is at ``state``."""
        trial = self._trial
        journal, unsent = trial.journal, trial.outbox.unsent()
        progress = TrialProgress(
            state, journal.curve, journal.findings_stored, journal.layers_stored, unsent, best=trial.best
        )
        trial.saved.save(capture(progress, self._ready, self._sitter))
        self._saved = time.monotonic()


def stop_if_fatal(findings: Sequence[Finding]) -> None:
    """Raise ``TrialStoppedError`` if one of them is fatal."""
    fatal = next((finding for finding in findings if finding.severity == "fatal"), None)
    if fatal is not None:
        raise TrialStoppedError(fatal)
