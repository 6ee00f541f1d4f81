"""What inputs and labels are like, before any network sees them."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from hpo.checks.measure.examples import Examples, class_labels
from hpo.checks.measure.linear_probe import linear_probe, roughness
from hpo.checks.measure.statistics import std_mean
from hpo.checks.preflight import ImageFacts, LabelFacts, LabelSignal

_MOST_CLASSES = 10_000
"""Labels above are numbers of another kind, such as identities."""
_MIN_EXAMPLES = 100
"""With fewer, a linear model does not exceed chance reliably."""
_THUMB = 4
"""Side of the thumbnails on which the two splits are compared."""


def label_signal(train: Examples, val: Examples, classes: int) -> LabelSignal | None:
    """Run the linear probe on images; None if a label or pixel is invalid or there are too few examples."""
    (images, labels), (val_images, val_labels) = ((each.images, each.classes) for each in (train, val))
    if labels is None or val_labels is None or images is None or val_images is None or classes < 2:
        return None
    if images.dim() != 4 or val_images.dim() != 4 or images.shape[1] != val_images.shape[1]:
        return None
    if min(len(labels), len(val_labels)) < _MIN_EXAMPLES:
        return None
    sound = [
        (each >= 0).all() & (each < classes).all() & pixels.isfinite().all()
        for each, pixels in ((labels, images), (val_labels, val_images))
    ]
    if not bool(torch.stack(sound).all()):
        return None
    return linear_probe(images, labels, val_images, val_labels, classes)


def image_facts(images: Tensor | None) -> ImageFacts:
    """Describe images (n, C, H, W), in one transfer; of other inputs, what there is to say of them."""
    if images is None or images.dim() != 4 or not images.numel():
        return _input_facts(images)
    values = images.detach().float()
    stds, means = (torch.stack(each) for each in zip(*map(std_mean, values.unbind(1)), strict=True))
    std, mean = std_mean(values)
    low, high = values.aminmax()
    channels = len(means)
    clipped_share = torch.maximum((values == low).float().mean(), (values == high).float().mean())
    *numbers, total_mean, total_std, lowest, highest, share_clipped = torch.cat(
        [means, stds, torch.stack([mean, std, low, high, clipped_share])]
    ).tolist()
    return ImageFacts(
        len(images),
        tuple(numbers[:channels]),
        tuple(numbers[channels:]),
        total_mean,
        total_std,
        lowest,
        highest,
        share_clipped,
        roughness(images),
    )


def _input_facts(inputs: Tensor | None) -> ImageFacts:
    """Describe inputs that are not images: no channels; of whole numbers such as tokens, no mean."""
    count = len(inputs) if inputs is not None and inputs.dim() else 0
    low = high = mean = std = math.nan
    if inputs is not None and inputs.numel():
        values = inputs.detach().float()
        low, high = (float(each) for each in values.aminmax())
        if inputs.is_floating_point() and inputs.numel() > 1:
            std, mean = (float(each) for each in std_mean(values))
    return ImageFacts(count, (), (), mean, std, low, high)


def split_t(train: Tensor | None, val: Tensor | None) -> float:
    """Return Student's t between training and validation images along the mean training image.

    Each half of the training images is projected on the mean of the other, so that the direction is
    independent of it. Flipped or inverted images keep their mean and standard deviation, but not this.
    NaN for other inputs.
    """
    if train is None or val is None or train.dim() != 4 or val.dim() != 4 or train.shape[1] != val.shape[1]:
        return math.nan
    thumbs, others = (
        F.adaptive_avg_pool2d(images.detach().float(), _THUMB).flatten(1) for images in (train, val)
    )
    halves = thumbs.tensor_split(2)
    if len(halves[1]) < 2 or len(others) < 2:
        return math.nan
    first, second = (half.mean(0) / half.mean(0).norm().clamp(min=1e-12) for half in halves)
    along = torch.cat([halves[0] @ second, halves[1] @ first])
    across = others @ (first + second) / 2
    spread = (along.var() / len(along) + across.var() / len(across)).sqrt()
    return float((along.mean() - across.mean()) / spread.clamp(min=1e-12))


def label_facts(given: object, classes: int) -> LabelFacts:
    """Describe class labels (n,); of others nothing. Without ``classes``, counts go to the highest label."""
    labels = class_labels(given)
    if labels is None or not len(labels):
        return LabelFacts((), 0, 0)
    lowest, highest = int(labels.min()), int(labels.max())
    if classes == 0 and highest >= _MOST_CLASSES:
        return LabelFacts((), lowest, highest)
    inside = labels[(labels >= 0) & (labels < (classes or highest + 1))]
    counts = torch.bincount(inside, minlength=classes)
    return LabelFacts(tuple(counts.tolist()), lowest, highest)
