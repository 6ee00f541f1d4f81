"""Loss and accuracy on images that are not trained on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from hpo.heartbeat import beat
from hpo.training.data import ImageSet, as_many_as_standard
from hpo.training.forward import logits_of
from hpo.training.precision import Resolved

EVALUATION_BATCH = {"cpu": 500}
"""Standard images per batch, fewer of larger ones.

On a CPU, larger batches' activations do not fit in its caches (docs/training.md)."""
_EVALUATION_BATCH_ELSEWHERE = 2000


@dataclass(frozen=True)
class Evaluation:
    """Mean cross-entropy in nats (without label smoothing) and the share of images classified correctly."""

    loss: float
    accuracy: float
    predicted_counts: tuple[int, ...]
    """(C,) images that were predicted as each class."""

    def metric(self, name: str) -> float:
        """Return what a metric of the validation images, such as ``val_loss``, is on these images."""
        return {"val_loss": self.loss, "val_accuracy": self.accuracy}[name]


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    images: ImageSet,
    precision: Resolved,
    after_batch: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Run ``model`` in evaluation mode on all ``images``, waiting for the device only at the end.

    Ticks the heartbeat at each batch. ``after_batch`` may raise to stop the evaluation.
    """
    device = images.rows.device
    size = as_many_as_standard(EVALUATION_BATCH.get(device.type, _EVALUATION_BATCH_ELSEWHERE), images.pixels)
    training = model.training
    model.eval()
    losses, correct, predicted = [], [], []
    for positions in torch.arange(len(images), device=device).split(size):
        batch, labels = images.batch(positions)
        batch = batch.contiguous(memory_format=torch.channels_last)
        logits = logits_of(model, batch, device, precision)
        losses.append(F.cross_entropy(logits, labels, reduction="sum"))
        predicted.append(logits.argmax(1))
        correct.append((predicted[-1] == labels).sum())
        beat()
        after_batch()
    model.train(training)
    counts = torch.bincount(torch.cat(predicted), minlength=logits.shape[1])
    numbers = torch.cat([torch.stack(losses), torch.stack(correct).float(), counts.float()]).tolist()
    batches = len(losses)
    return Evaluation(
        loss=math.fsum(numbers[:batches]) / len(images),
        accuracy=math.fsum(numbers[batches : 2 * batches]) / len(images),
        predicted_counts=tuple(map(int, numbers[2 * batches :])),
    )
