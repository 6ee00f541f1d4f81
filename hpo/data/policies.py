"""RandAugment (Cubuk et al. 2020) and TrivialAugment (Müller and Hutter 2021) for whole batches.

Each image gets operations of its own. They are applied to all images that drew the same one at once, with
the ranges of torchvision's ``RandAugment`` and ``TrivialAugmentWide``, whose magnitudes are steps of 31.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from hpo.data.color import WHITE, brightness, contrast, saturation, sharpness
from hpo.data.warp import warp

STEPS = 31
_LEVELS = 256
_Change = Callable[[Tensor, Tensor], Tensor]
"""Takes images (n, C, H, W) float32 from 0 to 255 and magnitudes (n,)."""


@dataclass(frozen=True)
class Operation:
    """An operation: its change, and its magnitude at the first and at the last of the steps."""

    change: _Change
    first: float = 0.0
    last: float = 0.0
    signed: bool = False
    """Whether the magnitude is negative for half of the images."""

    def magnitudes(self, steps: Tensor) -> Tensor:
        """Return the magnitudes at steps (n,) from 0 to 30."""
        return self.first + (self.last - self.first) * steps.float() / (STEPS - 1)


def rand_augment(batch: Tensor, operations: int, magnitude: int, generator: torch.Generator) -> Tensor:
    """Apply a number of random operations to each image, one after the other, at ``magnitude`` (0 to 30).

    Takes and returns (B, C, H, W) float32 from 0 to 255.
    """
    steps = torch.full((len(batch),), magnitude, device=batch.device)
    for _ in range(operations):
        batch = _apply_one(RAND_AUGMENT, batch, steps, generator)
    return batch


def trivial_augment(batch: Tensor, generator: torch.Generator) -> Tensor:
    """Apply one random operation to each image, at a random magnitude. Takes and returns as the other."""
    steps = torch.randint(STEPS, (len(batch),), generator=generator, device=batch.device)
    return _apply_one(TRIVIAL_AUGMENT, batch, steps, generator)


def _apply_one(
    operations: Mapping[str, Operation], batch: Tensor, steps: Tensor, generator: torch.Generator
) -> Tensor:
    device = batch.device
    drawn = torch.randint(len(operations), (len(batch),), generator=generator, device=device)
    signs = 1 - 2 * torch.randint(2, (len(batch),), generator=generator, device=device)
    result = batch.clone()
    for number, operation in enumerate(operations.values()):
        places = (drawn == number).nonzero().flatten()
        if len(places):
            magnitudes = operation.magnitudes(steps[places])
            if operation.signed:
                magnitudes = magnitudes * signs[places]
            result[places] = operation.change(batch[places], magnitudes)
    return result


def _unchanged(images: Tensor, _: Tensor) -> Tensor:
    return images


def _maps(count: int, device: torch.device) -> Tensor:
    return torch.eye(2, 3, device=device).repeat(count, 1, 1)


def _shear(row: int, images: Tensor, shear: Tensor) -> Tensor:
    """Shear around the upper left corner, as torchvision does."""
    maps = _maps(len(images), images.device)
    maps[:, row, 1 - row] = shear
    extent = images.shape[row - 2]
    maps[:, row, 2] = shear * extent / 2
    return warp(images, maps, "nearest", "zeros")


def _shear_x(images: Tensor, shear: Tensor) -> Tensor:
    return _shear(0, images, shear)


def _shear_y(images: Tensor, shear: Tensor) -> Tensor:
    return _shear(1, images, shear)


def _translate(row: int, images: Tensor, pixels: Tensor) -> Tensor:
    maps = _maps(len(images), images.device)
    maps[:, row, 2] = -pixels.trunc()
    return warp(images, maps, "nearest", "zeros")


def _translate_x(images: Tensor, pixels: Tensor) -> Tensor:
    return _translate(0, images, pixels)


def _translate_y(images: Tensor, pixels: Tensor) -> Tensor:
    return _translate(1, images, pixels)


def _translate_x_share(images: Tensor, share: Tensor) -> Tensor:
    return _translate(0, images, share * images.shape[-1])


def _translate_y_share(images: Tensor, share: Tensor) -> Tensor:
    return _translate(1, images, share * images.shape[-2])


def _rotate(images: Tensor, degrees: Tensor) -> Tensor:
    angles = degrees * (torch.pi / 180)
    maps = _maps(len(images), images.device)
    maps[:, 0, 0], maps[:, 0, 1] = angles.cos(), -angles.sin()
    maps[:, 1, 0], maps[:, 1, 1] = angles.sin(), angles.cos()
    return warp(images, maps, "nearest", "zeros")


def _factor(change: _Change) -> _Change:
    return lambda images, magnitudes: change(images, 1 + magnitudes).floor()


def _posterize(images: Tensor, removed: Tensor) -> Tensor:
    """Keep the upper bits of each byte: 8 less the rounded number of those that are removed."""
    bits = (2.0 ** removed.round()).view(-1, 1, 1, 1)
    return (images / bits).floor() * bits


def _solarize(images: Tensor, threshold: Tensor) -> Tensor:
    """Invert pixels that are as bright as the threshold (a share of white) or brighter."""
    limit = (threshold * WHITE).view(-1, 1, 1, 1)
    return torch.where(images >= limit, WHITE - images, images)


def _auto_contrast(images: Tensor, _: Tensor) -> Tensor:
    """Stretch each channel to the whole range."""
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    flat = high == low
    scale = WHITE / torch.where(flat, torch.ones_like(high), high - low)
    return torch.where(flat, images, ((images - low) * scale).clamp_(0, WHITE).floor())


def _equalize(images: Tensor, _: Tensor) -> Tensor:
    """Make each channel's histogram flat, as Pillow does."""
    count, channels, height, width = images.shape
    levels = images.long().reshape(count * channels, -1)
    histogram = torch.zeros(count * channels, _LEVELS, dtype=torch.long, device=images.device)
    histogram.scatter_add_(1, levels, torch.ones_like(levels))
    last = histogram.gather(1, levels.amax(1, keepdim=True))
    step = (height * width - last).div(_LEVELS - 1, rounding_mode="floor")
    before = histogram.cumsum(1) - histogram
    table = (before + step.div(2, rounding_mode="floor")).div(step.clamp_min(1), rounding_mode="floor")
    equal = table.clamp_(0, _LEVELS - 1).gather(1, levels)
    kept = torch.where(step == 0, levels, equal)
    return kept.view(images.shape).to(images.dtype)


def _operations(
    shear: float, translate: tuple[_Change, _Change, float], degrees: float, factor: float
) -> dict[str, Operation]:
    across, down, farthest = translate
    return {
        "identity": Operation(_unchanged),
        "shear_x": Operation(_shear_x, 0, shear, signed=True),
        "shear_y": Operation(_shear_y, 0, shear, signed=True),
        "translate_x": Operation(across, 0, farthest, signed=True),
        "translate_y": Operation(down, 0, farthest, signed=True),
        "rotate": Operation(_rotate, 0, degrees, signed=True),
        "brightness": Operation(_factor(brightness), 0, factor, signed=True),
        "color": Operation(_factor(saturation), 0, factor, signed=True),
        "contrast": Operation(_factor(contrast), 0, factor, signed=True),
        "sharpness": Operation(_factor(sharpness), 0, factor, signed=True),
        "solarize": Operation(_solarize, 1, 0),
        "auto_contrast": Operation(_auto_contrast),
        "equalize": Operation(_equalize),
    }


_FARTHEST_SHARE = 150 / 331  # of the side, from images of 331 pixels in the paper
RAND_AUGMENT = {
    **_operations(0.3, (_translate_x_share, _translate_y_share, _FARTHEST_SHARE), 30, 0.9),
    "posterize": Operation(_posterize, 0, 4),
}
TRIVIAL_AUGMENT = {
    **_operations(0.99, (_translate_x, _translate_y, 32), 135, 0.99),
    "posterize": Operation(_posterize, 0, 6),
}
