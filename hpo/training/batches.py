"""The batches of an epoch: order and augmentation are functions of the trial's key and the epoch alone."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from hpo.config.configuration import Configuration
from hpo.data.augmenter import Augmenter
from hpo.rng import Key
from hpo.training.data import ImageSet, as_many_as_standard

_BATCHES_AT_ONCE = {"cpu": 1}
"""Batches that are gathered and augmented together: one on a CPU, so that it fits in the caches."""
_BATCHES_AT_ONCE_ELSEWHERE = 16
"""On an accelerator, launching an operation has a fixed cost; fewer of larger images."""


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Return the number of full batches, so that all steps weigh the same; a smaller set is one batch."""
    return max(1, images // batch_size)


def epoch_order(key: Key, epoch: int, images: int) -> Tensor:
    """Return a permutation (images,) int64 of positions in the training set; ``epoch`` counts from 1."""
    generator = torch.Generator().manual_seed((key / "order" / epoch).integer())
    return torch.randperm(images, generator=generator)


def balanced_order(key: Key, epoch: int, labels: Tensor, count: int) -> Tensor:
    """Return ``count`` positions of the training set (count,) int64, of each class equally many within one.

    ``labels`` are (images,). Images of a class are repeated only after all of them were drawn; ``epoch``
    counts from 1.
    """
    generator = torch.Generator().manual_seed((key / "order" / epoch).integer())
    sizes = torch.bincount(labels)
    groups = [each for each in labels.argsort(stable=True).split(sizes.tolist()) if len(each)]
    quota, more = divmod(count, len(groups))
    favored = set(torch.randperm(len(groups), generator=generator)[:more].tolist())
    drawn = [_in_turns(group, quota + (place in favored), generator) for place, group in enumerate(groups)]
    order = torch.cat(drawn)
    return order[torch.randperm(count, generator=generator)]


def _in_turns(group: Tensor, count: int, generator: torch.Generator) -> Tensor:
    rounds = -(-count // len(group))
    turns = [group[torch.randperm(len(group), generator=generator)] for _ in range(rounds)]
    return torch.cat(turns)[:count] if turns else group[:0]


def mirrored_images(key: Key, epoch: int, images: int) -> Tensor:
    """Return which images (images,) bool are mirrored in ``epoch``: every other epoch, from a random side."""
    generator = torch.Generator().manual_seed((key / "flip").integer())
    first = torch.rand(images, generator=generator) < 0.5
    return first if epoch % 2 else ~first


class EpochBatches:
    """The batches of an epoch: augmented images (B, C, H, W) float32, channels last, and labels (B,).

    Labels are soft, (B, classes), if images are mixed. No image comes twice, except with balanced
    ``sampling``. ``first_step`` and ``augmentation`` (``augmentation_at`` of that step) resume within an
    epoch.
    """

    def __init__(
        self,
        configuration: Configuration,
        images: ImageSet,
        key: Key,
        epoch: int,
        first_step: int = 0,
        augmentation: Tensor | None = None,
        *,
        classes: int = 0,
    ) -> None:
        device, size = images.rows.device, configuration.batch_size
        self._configuration = configuration
        self._augmenter = Augmenter(configuration, early=images.is_alike_everywhere)
        self._classes = classes
        self._images = images
        self._first_step = first_step
        most = _BATCHES_AT_ONCE.get(device.type, _BATCHES_AT_ONCE_ELSEWHERE)
        self._together = as_many_as_standard(most, images.pixels)
        self._generator = torch.Generator(device).manual_seed((key / "augment" / epoch).integer())
        if augmentation is not None:
            self._generator.set_state(augmentation)
        self._before = self._generator.get_state()
        self._mirrored = (
            mirrored_images(key, epoch, len(images)).to(device) if self._augmenter.alternates else None
        )
        used = min(len(images), steps_per_epoch(len(images), size) * size)
        if configuration.sampling == "balanced":
            labels = images.labels.index_select(0, images.rows).cpu()
            self._order = balanced_order(key, epoch, labels, used).to(device)
        else:
            self._order = epoch_order(key, epoch, len(images))[:used].to(device)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        size = self._configuration.batch_size
        skipped = self._first_step % self._together
        left = self._order[(self._first_step - skipped) * size :]
        for positions in left.split(self._together * size) if len(left) else ():
            if self._together > 1:
                self._before = self._generator.get_state()
            pixels, labels = self._augmented(positions)
            yield from list(zip(pixels.split(size), labels.split(size), strict=True))[skipped:]
            skipped = 0

    def augmentation_at(self, step: int) -> Tensor:
        """Return the generator's state (bytes,) uint8 before ``step``, the next one."""
        return self._before if step % self._together else self._generator.get_state()

    def _augmented(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        augmenter, generator = self._augmenter, self._generator
        mirrored = None if self._mirrored is None else self._mirrored[positions]

        def changed(pixels: Tensor) -> Tensor:
            """Bring bytes into the order of the batch: there are fewer of them than of float32."""
            pixels = augmenter.pixels(pixels, generator, mirrored)
            return pixels.contiguous(memory_format=torch.channels_last) if augmenter.early else pixels

        images, labels = self._images.batch(positions, changed)
        images = augmenter.images(images, generator, mirrored)
        images, labels = augmenter.mixed(images, labels, self._classes, generator)
        return images.contiguous(memory_format=torch.channels_last), labels
