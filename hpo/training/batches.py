"""The batches of an epoch: order and augmentation are functions of the trial's key and the epoch alone."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from hpo.data.augment import augment
from hpo.randomness import Key
from hpo.spec.configuration import Configuration
from hpo.training.state import ImageSet

_BATCHES_AT_ONCE = {"cpu": 1}
"""Batches that are gathered and augmented together: one on a CPU, whose caches they should fit in."""
_BATCHES_AT_ONCE_ELSEWHERE = 16
"""On an accelerator each operation costs its launch, whatever its size."""


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Full batches only, so that each step weighs the same; a set smaller than that is one batch."""
    return max(1, images // batch_size)


def epoch_order(key: Key, epoch: int, images: int) -> Tensor:
    """A permutation (images,) int64 of the positions in the training set; ``epoch`` counts from 1."""
    generator = torch.Generator().manual_seed((key / "order" / epoch).integer())
    return torch.randperm(images, generator=generator)


def train_batches(
    configuration: Configuration, images: ImageSet, key: Key, epoch: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Augmented images (B, 3, 32, 32) float32, channels last, and labels (B,); no image comes twice."""
    device = images.rows.device
    size = configuration.batch_size
    steps = steps_per_epoch(len(images), size)
    order = epoch_order(key, epoch, len(images))[: steps * size].to(device)
    generator = torch.Generator(device).manual_seed((key / "augment" / epoch).integer())
    together = size * _BATCHES_AT_ONCE.get(device.type, _BATCHES_AT_ONCE_ELSEWHERE)
    for positions in order.split(together):
        pixels, labels = images.batch(positions)
        pixels = augment(
            pixels, configuration.augmentation, configuration.augmentation_strength, generator
        ).contiguous(memory_format=torch.channels_last)
        yield from zip(pixels.split(size), labels.split(size), strict=True)
