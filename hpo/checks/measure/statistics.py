"""Histograms, moments and extremes of activations."""

from __future__ import annotations

import math

import torch
from torch import Tensor

BINS = 32
"""Of the same width, from the lowest value of the sample to the highest."""
SAMPLE = 2048
"""0.03 ms on one core, where all of half a million values take 1.5 ms."""


def sample(activations: Tensor) -> Tensor:
    """At most ``SAMPLE`` of the activations (B, units, ...), from all images, units and places alike."""
    units_last = activations.movedim(1, -1) if activations.dim() > 1 else activations
    flat = (units_last if units_last.is_contiguous() else activations).reshape(-1)
    stride = math.ceil(flat.numel() / SAMPLE)
    while math.gcd(stride, flat.numel()) > 1:  # or only some of the units would be met
        stride += 1
    return flat[::stride].float().clone()


def histogram(values: Tensor) -> Tensor:
    """Lowest, highest, and how many of ``values`` (n,) lie in each bin: (2 + BINS,).

    As numpy.histogram over that range; values that are all the same lie in the first bin.
    """
    low, high = values.amin(), values.amax()
    places = ((values - low) * (BINS / (high - low))).nan_to_num(0.0, 0.0, 0.0).clamp(0, BINS - 1)
    counts = torch.zeros(BINS, device=values.device)
    counts.scatter_add_(0, places.long(), torch.ones_like(values))
    return torch.cat([torch.stack([low, high]), counts])


def std_mean(values: Tensor) -> tuple[Tensor, Tensor]:
    """Standard deviation () and mean () of all ``values`` (any shape, float), as torch.std_mean defines them.

    Both are counted from the first value on, so that values that are all the same deviate by exactly 0.
    """
    first = values[(0,) * values.dim()]
    centred = values - first
    mean = centred.mean()
    centred -= mean
    variance = centred.square_().sum() / (values.numel() - 1)
    return variance.sqrt(), first + mean


def unit_extremes(values: Tensor) -> tuple[Tensor, Tensor]:
    """The lowest and the highest value (units,) of each unit of ``values`` (B, units, ...)."""
    units_last = values.movedim(1, -1)
    if units_last.is_contiguous():
        # Over the images first, whole rows at a time: in between units, no kernel is vectorized.
        images = units_last.flatten(1)
        low, high = (each.view(-1, values.shape[1]) for each in (images.amin(0), images.amax(0)))
        return low.amin(0), high.amax(0)
    values = values.contiguous()
    over = [dim for dim in range(values.dim()) if dim != 1]
    return values.amin(over), values.amax(over)
