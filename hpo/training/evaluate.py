"""Loss and accuracy on images that are not trained on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from hpo.heartbeat import beat
from hpo.training.data import ImageSet
from hpo.training.forward import logits_of
from hpo.training.precision import Resolved

EVALUATION_BATCH = {"cpu": 500}
"""Images per batch. On a CPU, larger batches' activations do not fit in its caches (docs/training.md)."""
_EVALUATION_BATCH_ELSEWHERE = 2000


@dataclass(frozen=True)
class Evaluation:
    """Mean cross-entropy in nats (without label smoothing) and the share of images classified correctly."""

    loss: float
    accuracy: float


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    images: ImageSet,
    precision: Resolved,
    after_batch: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Run ``model`` in evaluation mode on all ``images``, with one transfer from the device, at the end.

    Ticks the heartbeat at each batch. ``after_batch`` may raise to stop the evaluation.
    """
    device = images.rows.device
    size = EVALUATION_BATCH.get(device.type, _EVALUATION_BATCH_ELSEWHERE)
    training = model.training
    model.eval()
    losses, correct = [], []
    for positions in torch.arange(len(images), device=device).split(size):
        batch, labels = images.batch(positions)
        batch = batch.contiguous(memory_format=torch.channels_last)
        logits = logits_of(model, batch, device, precision)
        losses.append(F.cross_entropy(logits, labels, reduction="sum"))
        correct.append((logits.argmax(1) == labels).sum())
        beat()
        after_batch()
    model.train(training)
    sums = torch.stack([torch.stack(losses), torch.stack(correct).float()]).tolist()
    return Evaluation(loss=math.fsum(sums[0]) / len(images), accuracy=math.fsum(sums[1]) / len(images))
