"""Changes of color and light, another one for each image of a batch; pixels from 0 to 255.

Formulas and weights of gray are those of torchvision, so that strengths mean the same.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

WHITE = 255.0
_GRAY = (0.2989, 0.587, 0.114)


def jitter(batch: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Multiply brightness, contrast and saturation by factors from 1 - strength to 1 + strength.

    In this order, each factor another one for each image. Takes and returns (B, C, H, W) float32.
    """
    drawn = torch.rand((3, len(batch)), generator=generator, device=batch.device)
    factors = 1 + strength * (2 * drawn - 1)
    for change, by in zip((brightness, contrast, saturation), factors, strict=True):
        batch = change(batch, by)
    return batch


def make_gray(batch: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Take the color from each image (B, C, H, W) with probability ``share``."""
    chosen = torch.rand(len(batch), generator=generator, device=batch.device) < share
    return torch.where(chosen.view(-1, 1, 1, 1), gray(batch).expand_as(batch), batch)


def brightness(batch: Tensor, factors: Tensor) -> Tensor:
    """Multiply the images by factors (B,); 0 makes them black."""
    return blend(batch, torch.zeros((), device=batch.device), factors)


def contrast(batch: Tensor, factors: Tensor) -> Tensor:
    """Multiply the difference from the image's mean gray by factors (B,)."""
    return blend(batch, gray(batch).mean((1, 2, 3), keepdim=True), factors)


def saturation(batch: Tensor, factors: Tensor) -> Tensor:
    """Multiply the difference from each pixel's gray by factors (B,)."""
    return blend(batch, gray(batch), factors)


def sharpness(batch: Tensor, factors: Tensor) -> Tensor:
    """Multiply the difference from a smoothed image by factors (B,); the border stays as it is."""
    if min(batch.shape[2:]) <= 2:
        return batch
    smooth = batch.clone()
    inside = batch[:, :, 1:-1, 1:-1]
    smooth[:, :, 1:-1, 1:-1] = ((F.avg_pool2d(batch, 3, 1) * 9 + inside * 4) / 13).round_()  # 1s around a 5
    return blend(batch, smooth, factors)


def gray(batch: Tensor) -> Tensor:
    """Return the luminance (B, 1, H, W), rounded down as in a byte; that of gray images is the images."""
    if batch.shape[1] != len(_GRAY):
        return batch.mean(1, keepdim=True)
    weights = torch.tensor(_GRAY, device=batch.device).view(1, -1, 1, 1)
    return (batch * weights).sum(1, keepdim=True).floor_()


def blend(batch: Tensor, base: Tensor, factors: Tensor) -> Tensor:
    """Return ``base`` plus factors (B,) times the difference of the images from it, from 0 to 255."""
    return torch.lerp(base.expand_as(batch), batch, factors.view(-1, 1, 1, 1)).clamp_(0, WHITE)
