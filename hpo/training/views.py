"""Predictions averaged over mirrored and shifted copies of each image (Jordan 2024)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

_SHIFTS = (-1, 1)


def mean_over_views(function: Callable[[Tensor], Tensor], images: Tensor, views: int) -> Tensor:
    """Return the mean of ``function``, such as logits (B, classes), over views of images (B, C, H, W).

    One view is the image. Two are the image and its mirror image. Six are these, with half of the weight, and
    both moved by a pixel up and left, and down and right. What comes in at the border is the reflected image.
    """
    weighted = (function(view) * weight for weight, view in _views(images, views))
    total = next(weighted)
    for each in weighted:
        total = total + each
    return total


def views_name(views: int, split: str = "val") -> str:
    """Return the name of the accuracy over views; the plain one's for a single view.

    >>> views_name(6)
    'val_6_views_accuracy'
    """
    return f"{split}_accuracy" if views == 1 else f"{split}_{views}_views_accuracy"


def _views(images: Tensor, views: int) -> Iterator[tuple[float, Tensor]]:
    if views == 1:
        yield 1.0, images
        return
    center = 1 / 2 if views == 6 else 1.0
    moved = [(center, images)]
    if views == 6:
        moved += [(1 / 4, _shifted(images, by)) for by in _SHIFTS]
    for weight, view in moved:
        yield weight / 2, view
        yield weight / 2, view.flip(-1).contiguous(memory_format=torch.channels_last)


def _shifted(images: Tensor, by: int) -> Tensor:
    """Move what is seen by ``by`` pixels down and right."""
    height, width = images.shape[2:]
    rows, columns = (_reflected(torch.arange(side) + by, side).to(images.device) for side in (height, width))
    moved = images.index_select(2, rows).index_select(3, columns)
    return moved.contiguous(memory_format=torch.channels_last)


def _reflected(places: Tensor, length: int) -> Tensor:
    return (length - 1) - ((length - 1) - places.abs()).abs()
