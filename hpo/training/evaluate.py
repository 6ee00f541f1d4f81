"""What a network is worth on images that it is not trained on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hpo.checks.class_metrics import OF_COUNTS, Counts, accuracy
from hpo.heartbeat import beat
from hpo.training.data import ImageSet, as_many_as_standard
from hpo.training.forward import logits_of
from hpo.training.metrics import area_under_roc, confusion_matrix
from hpo.training.precision import Resolved
from hpo.training.users_metric import UsersMetric
from hpo.training.views import mean_over_views, views_name

EVALUATION_BATCH = {"cpu": 500}
"""Standard images per batch, fewer of larger ones.

On a CPU, larger batches' activations do not fit in its caches (docs/training.md)."""
_EVALUATION_BATCH_ELSEWHERE = 2000


@dataclass(frozen=True)
class Evaluation:
    """The predictions of a network on labelled images: their counts, and what does not follow from counts."""

    loss: float
    """Mean cross-entropy in nats, without label smoothing and class weights."""
    auc: float
    """NaN if it is not defined."""
    confusion: tuple[tuple[int, ...], ...]
    """(C, C) images by class and by the class that they were predicted as."""
    own: Mapping[str, float] = field(default_factory=dict)
    """The user's metric, and the accuracy over several views, by name."""

    @property
    def accuracy(self) -> float:
        """The share of images whose class was predicted."""
        return accuracy(self._counts)

    @property
    def predicted_counts(self) -> tuple[int, ...]:
        """(C,) images that were predicted as each class."""
        return tuple(self._counts.sum(0).tolist())

    @cached_property
    def values(self) -> dict[str, float]:
        """Every metric by its name on the validation images, such as ``val_loss``."""
        return {
            "val_loss": self.loss,
            **{name: measure(self._counts) for name, measure in OF_COUNTS.items()},
            "val_auc": self.auc,
            **self.own,
        }

    @cached_property
    def _counts(self) -> Counts:
        return np.array(self.confusion)


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    images: ImageSet,
    precision: Resolved,
    after_batch: Callable[[], None] = lambda: None,
    own: UsersMetric | None = None,
    views: int = 1,
) -> Evaluation:
    """Run ``model`` in evaluation mode on all ``images``, waiting for the device only at the end.

    Ticks the heartbeat at each batch. ``after_batch`` may raise to stop the evaluation. All numbers are
    of the images as they are, but one: the accuracy over ``views`` of each image, if they are several.
    """
    device = images.rows.device
    size = as_many_as_standard(EVALUATION_BATCH.get(device.type, _EVALUATION_BATCH_ELSEWHERE), images.pixels)
    training = model.training
    model.eval()
    losses, truths, outputs, averaged = [], [], [], []
    for positions in torch.arange(len(images), device=device).split(size):
        batch, labels = images.batch(positions)
        batch = batch.contiguous(memory_format=torch.channels_last)
        logits = logits_of(model, batch, device, precision)
        losses.append(F.cross_entropy(logits, labels, reduction="sum"))
        outputs.append(logits)
        truths.append(labels)
        if views > 1:
            averaged.append(mean_over_views(partial(_logits, model, device, precision), batch, views))
        beat()
        after_batch()
    model.train(training)
    found = _evaluation(torch.cat(outputs), torch.cat(truths), torch.stack(losses), own)
    if not averaged:
        return found
    right = (torch.cat(averaged).argmax(1) == torch.cat(truths)).float().mean()
    return replace(found, own={**found.own, views_name(views): float(right)})


def _logits(model: nn.Module, device: torch.device, precision: Resolved, images: Tensor) -> Tensor:
    return logits_of(model, images, device, precision)


def _evaluation(logits: Tensor, labels: Tensor, losses: Tensor, own: UsersMetric | None) -> Evaluation:
    counts = confusion_matrix(labels, logits.argmax(1), logits.shape[1])
    probabilities = logits.softmax(1)
    return Evaluation(
        loss=math.fsum(losses.tolist()) / len(labels),
        auc=area_under_roc(probabilities, labels),
        confusion=tuple(map(tuple, counts.tolist())),
        own={} if own is None else {own.name: own(probabilities.cpu().numpy(), labels.cpu().numpy())},
    )
