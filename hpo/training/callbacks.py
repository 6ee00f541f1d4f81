"""Callbacks: what reacts to a training while it runs. The hooks' names are those of Lightning and Keras."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from hpo.records import EpochResult
from hpo.training.state import EpochState


class Callback:
    """Base class with hooks that do nothing. Callbacks run in the order of their list.

    Any hook may raise to stop the training; the hooks of later callbacks are then not called.
    """

    loss_interval: int | None = None
    """Call ``on_steps`` at least every ``loss_interval`` steps; None if once an epoch is enough."""

    def on_train_start(self, start: EpochState) -> None:
        """Before the first step of this process; ``start`` is the position that training starts from."""

    def on_steps(self, step: int, losses: Tensor) -> None:
        """Receive the losses (k,) of the last k steps; ``step`` (0-based over all epochs) is the latest."""

    def should_save(self) -> bool:
        """Whether ``save`` must be called now. Asked after each step and each batch of the evaluation."""
        return False

    def save(self, state: EpochState) -> None:
        """Save the position; model and optimizer are the callback's own to copy."""

    def on_epoch_end(self, result: EpochResult) -> None:
        """After the evaluation of an epoch."""


class History(Callback):
    """Collects the results of all epochs, like the Keras callback of the same name."""

    def __init__(self) -> None:
        self.curve: list[EpochResult] = []

    def on_epoch_end(self, result: EpochResult) -> None:
        # Of each epoch it would be many numbers, and every checkpoint would have them.
        self.curve.append(replace(result, val_confusion=()))
