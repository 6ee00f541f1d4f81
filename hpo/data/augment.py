"""Random augmentation of training batches, on their device, different for each image.

A crop and a flip only move pixels: rows of the result are slices of rows that continue mirrored, all taken at
once, and bytes as well as floats.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

CROP_SHIFT = 1 / 8  # of the short side, to either side at strength 1: CIFAR-10's padding (He et al. 2015)
CUTOUT_SIDE = 1 / 4  # of the short side, at strength 1
_ERASED = (0.02, 0.33)
_LONGEST = 3.3


def augment(
    batch: Tensor,
    policy: str,
    strength: float,
    generator: torch.Generator,
    *,
    translate: int = 0,
    mirrored: Tensor | None = None,
) -> Tensor:
    """Augment a batch (B, C, H, W) by ``Configuration.augmentation``: ``move``, then ``blank``.

    All randomness comes from ``generator``, which must be on the batch's device: the same state gives the
    same batch. The input is not modified. ``strength`` is at most 3.
    """
    moved = move(batch, policy, strength, generator, translate=translate, mirrored=mirrored)
    return blank(moved, policy, strength, generator)


def move(
    batch: Tensor,
    policy: str,
    strength: float,
    generator: torch.Generator,
    *,
    translate: int = 0,
    mirrored: Tensor | None = None,
) -> Tensor:
    """Move the pixels of a batch (B, C, H, W) of any type as the policy says; the input is not modified.

    ``translate`` pixels are the largest shift of a policy without a crop; ``mirrored`` (B,) bool are the
    images that a policy with a flip mirrors, half of them at random without it.
    """
    if policy == "none" and not translate:
        return batch
    shift = round(CROP_SHIFT * min(batch.shape[2:]) * strength) if "crop" in policy else translate
    return flip_and_crop(batch, shift, generator, flip="flip" in policy, mirrored=mirrored)


def blank(batch: Tensor, policy: str, strength: float, generator: torch.Generator) -> Tensor:
    """Blank a square of each image (B, C, H, W) if the policy says so, in place."""
    side = round(CUTOUT_SIDE * min(batch.shape[2:]) * strength) if "cutout" in policy else 0
    return cutout(batch, side, generator) if side else batch


def flip_and_crop(
    batch: Tensor,
    shift: int,
    generator: torch.Generator,
    *,
    flip: bool = True,
    mirrored: Tensor | None = None,
) -> Tensor:
    """Shift each image by up to ``shift`` pixels in each direction; if ``flip``, mirror some.

    Those are ``mirrored`` (B,) bool, or without it a random half, which is drawn first.
    The padding is the image reflected at its border, without repeating the border pixels. The result is a
    contiguous copy.
    """
    count, channels, height, width = batch.shape
    device = batch.device
    if mirrored is None:
        mirrored = torch.rand((count, 1), generator=generator, device=device) < 0.5
    moves = torch.randint(-shift, shift + 1, (2, count, 1), generator=generator, device=device)
    rows = _reflected(torch.arange(height, device=device) + moves[0], height)
    columns = moves[1] % max(1, 2 * width - 2)
    if flip:
        columns = torch.where(mirrored.view(-1, 1), width - 1 + moves[1], columns)
    planes = torch.arange(count * channels, device=device).view(count, channels, 1) * height
    return _slices(batch, planes + rows.unsqueeze(1), columns.unsqueeze(1))


def _slices(batch: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return for each row of an image a slice of another row, continued by its mirror image and itself.

    ``rows`` (B, C, H) count all rows of the batch (B, C, H, W); a slice begins at ``columns`` (B, 1, 1). From
    0 it is the row, from W - 1 its mirror image, and just before 2 W - 2 the row, shifted to the right.
    """
    width = batch.shape[3]
    long = torch.cat([batch, batch.flip(3)[..., 1:-1], batch], 3).contiguous()
    every = long.view(-1).as_strided((long.numel() - width + 1, width), (1, 1))
    return every.index_select(0, (rows * long.shape[3] + columns).flatten()).view(batch.shape)


def _reflected(places: Tensor, length: int) -> Tensor:
    """Reflect indices before 0 or past the end at the first or last pixel."""
    return (length - 1) - ((length - 1) - places.abs()).abs()


def cutout(batch: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Set a square of ``side`` pixels inside each image to 0 (the mean, after centering), in place."""
    count, _, height, width = batch.shape
    device = batch.device
    top = torch.randint(height - side + 1, (count, 1, 1), generator=generator, device=device)
    left = torch.randint(width - side + 1, (count, 1, 1), generator=generator, device=device)
    along = torch.arange(side, device=device)
    images = torch.arange(count, device=device).view(count, 1, 1)
    batch.permute(0, 2, 3, 1)[images, top + along.view(1, side, 1), left + along] = 0
    return batch


def erase(batch: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Set a rectangle of each image to 0 with probability ``share``, in place (Zhong et al. 2020).

    Areas are from 2 % to 33 % of the image, and sides in proportions from 0.3 to 3.3, as in torchvision's
    ``RandomErasing``; a side that would be longer than the image is cut.
    """
    height, width = batch.shape[2:]
    drawn = torch.rand((5, len(batch)), generator=generator, device=batch.device)
    area = (_ERASED[0] + (_ERASED[1] - _ERASED[0]) * drawn[0]) * height * width
    log_ratio = math.log(_LONGEST) * (2 * drawn[1] - 1)
    rows = _within(drawn[2], (area * log_ratio.exp()).sqrt(), height)
    columns = _within(drawn[3], (area / log_ratio.exp()).sqrt(), width)
    erased = rows.unsqueeze(2) & columns.unsqueeze(1) & (drawn[4] < share).view(-1, 1, 1)
    return batch.masked_fill_(erased.unsqueeze(1), 0)


def _within(place: Tensor, side: Tensor, length: int) -> Tensor:
    """Return which of ``length`` pixels lie in a random range of ``side`` (B,) pixels."""
    side = side.round().clamp_(1, length)
    first = (place * (length - side + 1)).floor().unsqueeze(1)
    pixels = torch.arange(length, device=place.device)
    return (pixels >= first) & (pixels < first + side.unsqueeze(1))
