"""Events as a run emits them."""

from __future__ import annotations

from hpo.events import EpochDone
from hpo.records import EpochResult


def epoch_done(
    worker: str,
    number: int,
    epoch: int,
    epochs: int,
    train_loss: float,
    val_loss: float,
    val_accuracy: float,
    images_per_second: float,
) -> EpochDone:
    """Return the event of an epoch of a trial."""
    result = EpochResult(
        epoch=epoch,
        train_loss=train_loss,
        train_accuracy=val_accuracy,
        val_loss=val_loss,
        val_accuracy=val_accuracy,
        lr=0.1,
        seconds=1.0,
        images=1000,
        images_per_second=images_per_second,
    )
    return EpochDone(worker, number, epochs, result)
