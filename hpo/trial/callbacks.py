"""The callbacks of a training of images: checks, checkpoints, best weights, and the report of each epoch."""

from __future__ import annotations

import time
from typing import Any

from torch import Tensor, nn

from hpo.artifacts.best_weights import BestWeights
from hpo.checks.babysitter import Babysitter
from hpo.checks.judge import CHECK_INTERVAL
from hpo.checks.measure.setup import penalty
from hpo.config.configuration import Configuration
from hpo.config.thresholds import Thresholds
from hpo.errors import StorageError
from hpo.records import EpochResult
from hpo.settings import settings
from hpo.signals import StopRequestedError
from hpo.training.callbacks import Callback
from hpo.training.checkpoint_files import Checkpoints
from hpo.training.optim import regularized_parameters
from hpo.training.read_options import ignored_options
from hpo.training.schedules import weight_decay
from hpo.training.setup import TrialSetup
from hpo.training.state import EpochState
from hpo.trial.checkpoint import TrialState, capture
from hpo.trial.session import TrialSession, stop_if_fatal


def make_babysitter(setup: TrialSetup, limits: Thresholds) -> Babysitter:
    """Return a babysitter for this training. The caller closes it."""
    return Babysitter(
        setup.model,
        setup.optimizer,
        task="classification",
        classes=setup.data.classes,
        class_names=setup.data.class_names,
        epochs=setup.configuration.epochs,
        steps_per_epoch=setup.steps_per_epoch,
        forward=setup.forward,
        configuration=_settings(setup.configuration, setup.model),
        train_class_counts=_drawn_counts(setup),
        val_class_counts=setup.data.val.class_counts(setup.data.classes),
        checks=limits,
    )


def _drawn_counts(setup: TrialSetup) -> tuple[int, ...]:
    """Return how many images of each class an epoch draws (C,)."""
    counts = setup.data.train.class_counts(setup.data.classes)
    if setup.configuration.sampling == "shuffled":
        return counts
    each = sum(counts) // sum(count > 0 for count in counts)
    return tuple(each if count else 0 for count in counts)


def _settings(configuration: Configuration, network: nn.Module) -> dict[str, Any]:
    """Return the fields that have an effect."""
    ignored = ignored_options(network)
    return {name: value for name, value in configuration.applicable().items() if name not in ignored}


def less_memory(configuration: Configuration) -> str:
    """Return the remedy for too little memory: what can be lowered."""
    values = configuration.applicable()
    names = ("batch_size",) if ":" in configuration.model else ("batch_size", "width")
    lower = [name for name in names if values[name] > 1]
    return f"lower {' or '.join(lower)}" if lower else "use a smaller network"


def check_before_training(setup: TrialSetup, babysitter: Babysitter) -> None:
    """Run the checks that come before the first step."""
    decay, l1 = weight_decay(setup.configuration), setup.configuration.l1
    weights = regularized_parameters(setup.model, setup.configuration)
    added = penalty(weights, decay, l1) if decay > 0 or l1 > 0 else None
    babysitter.before(*setup.probe_batch(), *setup.val_probe_batch(), penalty=added)


class ChecksCallback(Callback):
    """Passes losses and epochs to the babysitter. Raises ``TrialStoppedError`` when a loss is fatal."""

    loss_interval = CHECK_INTERVAL

    def __init__(self, babysitter: Babysitter, val_images: int) -> None:
        self._babysitter = babysitter
        self._val_images = val_images

    def on_steps(self, step: int, losses: Tensor) -> None:
        self._babysitter.steps(losses)
        stop_if_fatal(self._babysitter.findings)

    def on_epoch_end(self, result: EpochResult) -> None:
        # A fatal finding stops the training only after the epoch is saved and recorded.
        self._babysitter.epoch(
            train_loss=result.train_loss,
            train_accuracy=result.train_accuracy,
            val_loss=result.val_loss,
            val_accuracy=result.val_accuracy,
            val_balanced_accuracy=result.val_balanced_accuracy,
            val_images=self._val_images,
            val_predicted_counts=result.val_predicted_counts,
        )


class BestWeightsCallback(Callback):
    """Holds the weights of the best epoch, or of the last one if the validation images are trained on."""

    def __init__(self, best: BestWeights, setup: TrialSetup, *, take_last: bool) -> None:
        self._best = best
        self._setup = setup
        self._take_last = take_last

    def on_epoch_end(self, result: EpochResult) -> None:
        update = self._best.update if self._take_last else self._best.update_if_better
        update(result, self._setup.judged)


class CheckpointCallback(Callback):
    """Saves the trial at the end of each epoch, once a minute, and before this worker stops.

    Raises what ``TrialSession.check`` does; unless the slot is lost, after the last save.
    """

    def __init__(self, state: TrialState, session: TrialSession, checkpoints: Checkpoints) -> None:
        self._state = state
        self._checkpoints = checkpoints
        self._session = session
        self._saved_at = time.monotonic()

    def should_save(self) -> bool:
        try:
            self._session.check()
        except (StopRequestedError, StorageError):
            return True
        return time.monotonic() - self._saved_at >= settings().checkpoint_seconds

    def save(self, state: EpochState) -> None:
        self._save(state)
        self._session.check()

    def on_epoch_end(self, result: EpochResult) -> None:
        self._save(EpochState(result.epoch + 1))

    def _save(self, position: EpochState) -> None:
        self._checkpoints.save(capture(self._state, position))
        self._saved_at = time.monotonic()


class ReportCallback(Callback):
    """Reports each epoch to the trial's session. Raises what ``TrialSession.epoch`` does."""

    def __init__(self, session: TrialSession, steps_per_epoch: int) -> None:
        self._session = session
        self._steps_per_epoch = steps_per_epoch

    def on_epoch_end(self, result: EpochResult) -> None:
        self._session.epoch(result, result.epoch * self._steps_per_epoch)
