"""Affine maps of images, another one for each image of a batch: rotation, zoom, shear, translation."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Sampling = Literal["bilinear", "nearest"]
Border = Literal["reflection", "zeros"]


def rotate_and_zoom(batch: Tensor, degrees: float, zoom: float, generator: torch.Generator) -> Tensor:
    """Rotate each image (B, C, H, W) by up to ``degrees`` either way, scaled by 1 - zoom to 1 + zoom.

    Around the center, with bilinear sampling; what comes in at the border is the image, reflected.
    """
    device, shape = batch.device, (len(batch),)
    angles = _between(-degrees, degrees, shape, generator, device) * (math.pi / 180)
    factors = _between(1 - zoom, 1 + zoom, shape, generator, device)
    cosine, sine = angles.cos() / factors, angles.sin() / factors
    zeros = torch.zeros_like(angles)
    maps = torch.stack([cosine, sine, zeros, -sine, cosine, zeros], 1).view(-1, 2, 3)
    return warp(batch, maps, "bilinear", "reflection")


def warp(batch: Tensor, maps: Tensor, sampling: Sampling, border: Border) -> Tensor:
    """Sample images (B, C, H, W) at the places that ``maps`` (B, 2, 3) give for each pixel of the result.

    A map takes (x, y, 1), in pixels from the center, to a place in the image. The result has the
    type of the batch.
    """
    height, width = batch.shape[-2:]
    columns = torch.arange(width, device=batch.device) - (width - 1) / 2
    rows = torch.arange(height, device=batch.device) - (height - 1) / 2
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    places = torch.stack([x, y, torch.ones_like(x)], -1).view(-1, 3)
    half = torch.tensor([width / 2, height / 2], device=batch.device)
    grid = (places @ maps.transpose(1, 2) / half).view(-1, height, width, 2)
    sampled = F.grid_sample(batch.float().contiguous(), grid, sampling, border, align_corners=False)
    if not batch.dtype.is_floating_point:
        sampled = sampled.round_()
    return sampled.to(batch.dtype)


def _between(
    low: float, high: float, shape: tuple[int, ...], generator: torch.Generator, device: torch.device
) -> Tensor:
    return torch.rand(shape, generator=generator, device=device) * (high - low) + low
