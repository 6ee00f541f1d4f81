"""Training images that are rougher or smoother than those of validation."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from hpo.checks.measure.example_facts import image_facts
from hpo.checks.observations import Observations
from hpo.checks.rules.image_structure import image_structure
from tests.helpers.observed import LIMITS, images, one, preflight, seen

CIFAR = (0.10, 0.175, 0.245, 0.30)


def forward(train: tuple[float, ...], val: tuple[float, ...] = CIFAR, count: int = 256) -> Observations:
    facts = [images(roughness=each, count=count) for each in (train, val)]
    return seen(preflight=preflight(images=facts[0], val_images=facts[1]))


def test_image_structure_what_is_alike_at_every_scale_is_quiet() -> None:
    one(image_structure(forward((0.13, 0.14, 0.20, 0.27)), LIMITS), "pass")
    assert image_structure(forward((9.0,) * 4, count=99), LIMITS) == []
    assert image_structure(forward(()), LIMITS) == []
    assert image_structure(seen(), LIMITS) == []


@pytest.mark.parametrize(
    ("train", "val", "severity", "cause", "words"),
    [
        ((0.98, 0.25, 0.065, 0.02), CIFAR, "warn", "augmentation", "at 8 pixels"),  # noise
        ((0.035, 0.073, 0.156, 0.365), CIFAR, "note", "augmentation", "2.9 times as smooth"),  # blurred
        ((0.19, 0.325, 0.47, 0.57), CIFAR, "note", "augmentation", "1.9 times as rough"),  # tiles exchanged
        (CIFAR, (0.07, 0.147, 0.25, 0.34), "note", "train_val_mismatch", "1.4 times as rough"),  # enlarged
        (CIFAR, (0.98, 0.25, 0.065, 0.02), "warn", "train_val_mismatch", "15.0 times as rough"),
    ],
)
def test_image_structure_the_side_that_is_unlike_photographs_was_changed(
    train: tuple[float, ...], val: tuple[float, ...], severity: str, cause: str, words: str
) -> None:
    found = one(image_structure(forward(train, val), LIMITS), severity, cause)
    assert words in found.message


def clouds(count: int) -> Tensor:
    """Random pictures whose parts are alike up to some pixels, as in photographs."""
    noise = [
        F.interpolate(torch.randn(count, 3, 32 // s, 32 // s), size=32, mode="bilinear") for s in (1, 2, 4, 8)
    ]
    return noise[0] * 0.25 + noise[1] * 0.4 + noise[2] * 0.7 + noise[3]


def test_image_structure_in_real_images() -> None:
    torch.manual_seed(0)
    train, val = clouds(256), clouds(256)

    def judged(one_side: Tensor) -> list[str]:
        facts = preflight(images=image_facts(one_side), val_images=image_facts(val))
        return [each.severity for each in image_structure(seen(preflight=facts), LIMITS)]

    assert judged(train) == judged(train.flip(3)) == ["pass"]
    assert judged(train + 2 * torch.randn_like(train)) != ["pass"]
    assert judged(F.avg_pool2d(train, 5, 1, 2)) != ["pass"]
    mixed = train.flatten(2)[:, :, torch.randperm(1024)].view_as(train)
    assert judged(mixed) != ["pass"]
