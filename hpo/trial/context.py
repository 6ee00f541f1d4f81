"""The objects that every step of a trial shares: the worker's side of it, and the trial that has begun."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from hpo.config.hyperparameters import TrialConfiguration
from hpo.config.study import StudySpec
from hpo.data.datasets import Dataset
from hpo.events import Event
from hpo.queue.lease_keeper import LeaseKeeper
from hpo.rng import Key
from hpo.search.suggest import Suggestions
from hpo.settings import settings
from hpo.stages.store import Stage
from hpo.storage.fence import Lease
from hpo.storage.store import ResultsStore
from hpo.training.checkpoint_files import slot_folder


@dataclass(frozen=True)
class TrialContext:
    """What a worker has loaded for every trial of its study."""

    spec: StudySpec
    study_id: int
    study_uid: str
    store: ResultsStore
    suggestions: Suggestions
    dataset: Dataset | None
    """None for the user's own training."""
    device: torch.device
    worker: str
    lease_seconds: float
    emit: Callable[[Event], None]
    stage: Callable[[str], Stage]
    """Returns the study's stage of a name."""
    check_stop: Callable[[], None]
    """Raises ``StopRequestedError`` once this worker must stop."""


@dataclass(frozen=True)
class BegunTrial:
    """A trial that is registered in the database and held by this worker."""

    context: TrialContext
    lease: Lease
    stage: Stage
    trial_id: int
    number: int
    attempt: int
    configuration: TrialConfiguration
    started: float
    """On the monotonic clock."""

    @property
    def key(self) -> Key:
        """The key of everything random in this trial."""
        return self.stage.key(self.lease.slot)

    @property
    def checkpoint_folder(self) -> Path:
        """Where any worker finds this trial's checkpoints."""
        root = settings().checkpoints
        return slot_folder(root, self.context.study_uid, self.lease.stage, self.lease.slot)


@dataclass(frozen=True)
class TrialControl:
    """Reports progress for the lease, and raises where this worker must stop the trial."""

    context: TrialContext
    lease_keeper: LeaseKeeper

    def heartbeat(self) -> None:
        """Report that the trial makes progress."""
        self.lease_keeper.heartbeat()

    def heartbeat_or_stop(self) -> None:
        """Report progress, and stop at once: for work before training, which leaves nothing to save."""
        self.heartbeat()
        self.raise_if_lost()
        self.check_stop()

    def wait(self) -> None:
        """Report progress while the database is unreachable: waiting for it is not a hang."""
        self.heartbeat()
        self.check_stop()

    def raise_if_lost(self) -> None:
        """Raise ``LeaseLostError`` if this worker no longer holds the slot."""
        self.lease_keeper.raise_if_lost()

    def check_stop(self) -> None:
        """Raise ``StopRequestedError`` after a signal, ``StudyStoppedError`` after `hpo stop`."""
        self.context.check_stop()
        self.lease_keeper.check_stop()
