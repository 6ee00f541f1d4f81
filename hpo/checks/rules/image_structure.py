"""Do training images, as fed, have the structure of validation images? Compares roughness at four scales.

Noise and erased or permuted pixels make images rough, enlarging and blurring make them smooth, at the scale
of the change; means and standard deviations stay the same. Source of the measure: Ruderman & Bialek
1994, Statistics of natural images.
"""

from __future__ import annotations

import math

from hpo.checks.base import note, passed, warn
from hpo.checks.observations import Observations
from hpo.checks.preflight import ImageFacts
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding
from hpo.text import counted

_LEAST_IMAGES = 100
_NATURAL = 0.8
"""log2 of the roughness at 2 pixels over that at 1: 0.75 to 0.83 in 256 images of CIFAR-10, -2 in noise."""
_MARGIN = 0.1
_CERTAIN = 2.0
"""A factor of 4, which no common augmentation reaches; random resized crops reach 2 or 3."""


def image_structure(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report the largest ratio of roughness in powers of 2; the split less like photographs was changed."""
    assert seen.preflight is not None
    train, val = seen.preflight.images, seen.preflight.val_images
    if val is None or min(train.count, val.count) < _LEAST_IMAGES:
        return []
    ratios = [
        math.log2(one / other)
        for one, other in zip(train.roughness, val.roughness, strict=False)
        if one > 0 and other > 0
    ]
    if not ratios:
        return []
    largest = max(ratios, key=abs)
    if abs(largest) <= limits.roughness_ratio:
        message = f"training and validation images are similar at every scale (within 2^{largest:.2f})"
        return [passed("image_structure", abs(largest), limits.roughness_ratio, message)]
    times, scale = 2 ** abs(largest), 2 ** ratios.index(largest)
    changed_in_validation = _strangeness(val) > _strangeness(train) + _MARGIN
    message = (
        f"at {counted(scale, 'pixel')}, training images are {times:.1f} times as "
        f"{'rough' if largest > 0 else 'smooth'} "
        "as validation images"
    )
    if changed_in_validation:
        remedy = fix("same_normalization", "prepare validation images like training images")
    else:
        remedy = fix("weaken_augmentation", "inspect training images as they are fed; weaken augmentation")
    return [
        (warn if abs(largest) > _CERTAIN else note)(
            "image_structure",
            abs(largest),
            limits.roughness_ratio,
            message,
            remedy,
            cause="train_val_mismatch" if changed_in_validation else "augmentation",
            confidence=0.7,
        )
    ]


def _strangeness(images: ImageFacts) -> float:
    """Return how far the growth of roughness with scale is from that of photographs."""
    if len(images.roughness) < 2 or min(images.roughness[:2]) <= 0:
        return math.inf
    return abs(math.log2(images.roughness[1] / images.roughness[0]) - _NATURAL)
