"""All random transformations of a training batch, in order: those of pixels, those of images, mixing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hpo.config.configuration import Configuration
from hpo.data.augment import blank, erase, move
from hpo.data.color import jitter, make_gray
from hpo.data.mixing import mix
from hpo.data.policies import rand_augment, trivial_augment
from hpo.data.warp import rotate_and_zoom


@dataclass(frozen=True)
class Augmenter:
    """The transformations that a configuration asks for.

    All randomness comes from the generator that is given, which must be on the batch's device: the same state
    gives the same batch. What is off draws nothing.
    """

    configuration: Configuration
    early: bool = False
    """Whether images may be mirrored and moved before they are preprocessed: bytes are moved faster."""

    @property
    def changes_pixels(self) -> bool:
        """Whether images are changed before they are preprocessed, so that this cannot be done in advance."""
        wanted = self.configuration
        return bool(wanted.auto_augment != "none" or wanted.color_jitter or wanted.grayscale)

    @property
    def mixes(self) -> bool:
        """Whether images and labels are mixed."""
        return bool(self.configuration.mixup or self.configuration.cutmix)

    def pixels(self, batch: Tensor, generator: torch.Generator, mirrored: Tensor | None = None) -> Tensor:
        """Transform pixels (B, C, H, W), of any type; float32 if anything but their places changes.

        ``mirrored`` (B,) bool are those that alternating flips mirror now.
        """
        if self.changes_pixels:
            batch = self._changed(batch.float(), generator)
        return self._moved(batch, generator, mirrored) if self._moves_early else batch

    def _changed(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        """Change pixels from 0 to 255."""
        wanted = self.configuration
        if wanted.auto_augment == "randaugment":
            operations, magnitude = wanted.randaugment_operations, wanted.randaugment_magnitude
            batch = rand_augment(batch, operations, magnitude, generator)
        elif wanted.auto_augment == "trivialaugment":
            batch = trivial_augment(batch, generator)
        if wanted.color_jitter:
            batch = jitter(batch, wanted.color_jitter, generator)
        return make_gray(batch, wanted.grayscale, generator) if wanted.grayscale else batch

    @property
    def alternates(self) -> bool:
        """Whether the caller says which images are mirrored."""
        wanted = self.configuration
        return wanted.flip == "alternating" and "flip" in wanted.augmentation

    def images(self, batch: Tensor, generator: torch.Generator, mirrored: Tensor | None = None) -> Tensor:
        """Transform preprocessed images (B, C, H, W) float32, which may be modified.

        ``mirrored`` is that of ``pixels``.
        """
        wanted = self.configuration
        if wanted.rotation or wanted.zoom:
            batch = rotate_and_zoom(batch, wanted.rotation, wanted.zoom, generator)
        if not self._moves_early:
            batch = self._moved(batch, generator, mirrored)
        batch = blank(batch, wanted.augmentation, wanted.augmentation_strength, generator)
        return erase(batch, wanted.erasing, generator) if wanted.erasing else batch

    @property
    def _moves_early(self) -> bool:
        """Whether nothing before the moves depends on a pixel's place."""
        return self.early and not (self.configuration.rotation or self.configuration.zoom)

    def _moved(self, batch: Tensor, generator: torch.Generator, mirrored: Tensor | None) -> Tensor:
        wanted = self.configuration
        policy, strength, translate = wanted.augmentation, wanted.augmentation_strength, wanted.translate
        return move(batch, policy, strength, generator, translate=translate, mirrored=mirrored)

    def mixed(
        self, images: Tensor, labels: Tensor, classes: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Mix images with each other; labels (B,) become soft ones (B, classes) if anything is mixed."""
        if not self.mixes:
            return images, labels
        return mix(images, labels, classes, self.configuration.mixup, self.configuration.cutmix, generator)
