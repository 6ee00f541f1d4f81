"""Images and labels of a batch mixed in pairs: mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019)."""

from __future__ import annotations

from functools import lru_cache

import torch
from scipy.special import betaincinv
from torch import Tensor
from torch.nn import functional as F

_QUANTILES = 1024


def mix(
    images: Tensor, labels: Tensor, classes: int, mixup: float, cutmix: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Mix each image (B, C, H, W) with the one before it; return images and soft labels (B, classes).

    ``mixup`` and ``cutmix`` are alpha in the Beta(alpha, alpha) distribution of the shares; 0 is off. With
    both, each image gets one of them at random.
    """
    count, device = len(images), images.device
    drawn = torch.rand((4, count), generator=generator, device=device)
    others = images.roll(1, 0)
    cut = drawn[0] < 0.5 if mixup and cutmix else torch.full((count,), bool(cutmix), device=device)
    shares = torch.where(cut, _beta(cutmix or 1.0, drawn[1]), _beta(mixup or 1.0, drawn[1]))
    boxes, areas = _boxes(shares, drawn[2], drawn[3], images.shape[2], images.shape[3])
    blended = torch.lerp(others, images, shares.view(-1, 1, 1, 1))
    pasted = torch.where(boxes, others, images)
    mixed = torch.where(cut.view(-1, 1, 1, 1), pasted, blended)
    kept = torch.where(cut, 1 - areas, shares).unsqueeze(1)
    exact = F.one_hot(labels, classes).to(images.dtype)
    return mixed, torch.lerp(exact.roll(1, 0), exact, kept)


def _boxes(shares: Tensor, x: Tensor, y: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return which pixels (B, 1, H, W) come from the other image, and their share of the area (B,).

    A box of area 1 - share around a random pixel, cut at the border.
    """
    half = (1 - shares).clamp_min(0).sqrt() / 2
    rows = _inside(y, half, height)
    columns = _inside(x, half, width)
    boxes = rows.unsqueeze(2) & columns.unsqueeze(1)
    return boxes.unsqueeze(1), boxes.float().mean((1, 2))


def _inside(center: Tensor, half: Tensor, length: int) -> Tensor:
    """Return which of ``length`` places are within a share ``half`` (B,) of the length from the center."""
    middle = (center * length).floor()
    low = (middle - half * length).trunc().clamp_min(0).unsqueeze(1)
    high = (middle + half * length).trunc().clamp_max(length).unsqueeze(1)
    places = torch.arange(length, device=center.device)
    return (places >= low) & (places < high)


def _beta(alpha: float, drawn: Tensor) -> Tensor:
    """Return draws from Beta(alpha, alpha), to 1 in 1,024, from uniform ones."""
    table = _quantiles(alpha).to(drawn.device)
    return table[(drawn * _QUANTILES).long().clamp_max(_QUANTILES - 1)]


@lru_cache(maxsize=64)
def _quantiles(alpha: float) -> Tensor:
    places = (torch.arange(_QUANTILES, dtype=torch.float64) + 0.5) / _QUANTILES
    return torch.from_numpy(betaincinv(alpha, alpha, places.numpy())).float()
