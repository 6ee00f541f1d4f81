"""How good an exported network is: measured through the folder's own paths, on images with labels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from hpo.artifacts.model import ExportedModel
from hpo.data.cache import Bytes, Labels

_Z = 1.96
"""Of a 95 % interval."""


@dataclass(frozen=True)
class Measured:
    """Loss in nats, accuracies in [0, 1]; ``per_class`` by label, ``None`` for a class without images."""

    images: int
    accuracy: float
    interval: tuple[float, float]
    """95 %, of the accuracy on such images if these were drawn at random (E. B. Wilson, JASA 22, 1927)."""
    loss: float
    per_class: dict[str, float | None]


def measure(model: ExportedModel, images: Bytes, labels: Labels) -> Measured:
    """Classify images (N, 3, 32, 32) uint8 whose labels (N,) are known."""
    probabilities = model.probabilities(images)
    truth = torch.as_tensor(labels)
    right = probabilities.argmax(1) == truth
    hits = int(right.sum())
    return Measured(
        images=len(truth),
        accuracy=hits / len(truth),
        interval=interval(hits, len(truth)),
        loss=float(F.nll_loss(probabilities.clamp_min(torch.finfo(torch.float32).tiny).log(), truth)),
        per_class={label: _share(right[truth == position]) for position, label in enumerate(model.labels)},
    )


def interval(hits: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of which ``hits`` of ``count`` were seen."""
    share, square = hits / count, _Z**2
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = _Z / (1 + square / count) * math.sqrt(share * (1 - share) / count + square / (4 * count**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def _share(right: Tensor) -> float | None:
    return float(right.float().mean()) if len(right) else None
