"""How good an exported network is, measured with its files on labeled images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from hpo.artifacts.model import ExportedModel
from hpo.data.cache import Bytes, Labels
from hpo.diagnosis.wilson import wilson_interval
from hpo.training.views import mean_over_views


@dataclass(frozen=True)
class Measured:
    """Loss in nats, accuracies in [0, 1]; ``per_class`` by label, ``None`` for a class without images."""

    images: int
    accuracy: float
    interval: tuple[float, float]
    """The 95 % interval of the accuracy on images of this kind, if these were drawn at random (Wilson)."""
    loss: float
    per_class: dict[str, float | None]
    over_views: float | None = None
    """The accuracy of logits averaged over the configuration's views; None for one view."""


def measure(model: ExportedModel, images: Bytes, labels: Labels) -> Measured:
    """Classify images (N, C, H, W) uint8 and compare with their labels (N,)."""
    probabilities = model.probabilities(images)
    truth = torch.as_tensor(labels)
    right = probabilities.argmax(1) == truth
    hits = int(right.sum())
    views = int(model.configuration.eval_views)
    over_views = None
    if views > 1:
        averaged = mean_over_views(model.logits, torch.as_tensor(images), views)
        over_views = float((averaged.argmax(1) == truth).float().mean())
    return Measured(
        images=len(truth),
        accuracy=hits / len(truth),
        interval=wilson_interval(hits / len(truth), len(truth)),
        loss=float(F.nll_loss(probabilities.clamp_min(torch.finfo(torch.float32).tiny).log(), truth)),
        per_class={label: _share(right[truth == position]) for position, label in enumerate(model.labels)},
        over_views=over_views,
    )


def _share(right: Tensor) -> float | None:
    return float(right.float().mean()) if len(right) else None
