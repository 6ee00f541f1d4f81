"""Mixup and CutMix: labels follow the images exactly, shares follow the Beta distribution."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hpo.data.mixing import mix

CLASSES = 10


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def mixed(mixup: float, cutmix: float, count: int = 2000) -> tuple[Tensor, Tensor]:
    """Images of their number in the batch, with their number modulo 10 as the label."""
    images = torch.arange(float(count)).view(-1, 1, 1, 1).expand(count, 1, 16, 24)
    return mix(images, torch.arange(count) % CLASSES, CLASSES, mixup, cutmix, seeded())


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.4, 0.0), (0.0, 1.0), (0.4, 1.0)])
def test_labels_are_the_shares_of_the_images(mixup: float, cutmix: float) -> None:
    images, labels = mixed(mixup, cutmix)
    assert torch.allclose(labels.sum(1), torch.ones(len(labels)))
    number = torch.arange(1, len(images))
    own = labels[number, number % CLASSES]
    assert torch.allclose(own + labels[number, (number - 1) % CLASSES], torch.ones(len(own)))
    assert torch.allclose(images[1:].mean((1, 2, 3)), number - 1 + own, atol=1e-3)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_shares_of_mixup_follow_the_beta_distribution(alpha: float) -> None:
    _, labels = mixed(alpha, 0.0, 8000)
    number = torch.arange(len(labels))
    shares = labels[number, number % CLASSES]
    assert shares.mean().item() == pytest.approx(0.5, abs=0.02)
    assert shares.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.06)


def test_cutmix_pastes_one_rectangle_of_the_image_before() -> None:
    images, labels = mixed(0.0, 1.0)
    pasted = images[:, 0] != torch.arange(float(len(images))).view(-1, 1, 1)
    rows, columns = pasted.any(2).sum(1), pasted.any(1).sum(1)
    assert torch.equal(pasted.sum((1, 2)), rows * columns)
    number = torch.arange(len(labels))
    assert torch.allclose(1 - labels[number, number % CLASSES], pasted.float().mean((1, 2)), atol=1e-5)
    assert 0.15 < pasted.float().mean() < 0.5


def test_with_both_each_image_gets_one() -> None:
    images, _ = mixed(1.0, 1.0)
    blended = (images != images.floor()).flatten(1).any(1)
    assert 0.4 < blended.float().mean() < 0.55  # the others are cut


def test_the_generator_alone_decides_and_the_input_stays() -> None:
    images, labels = torch.randn(16, 3, 8, 8), torch.arange(16) % CLASSES
    before = images.clone()
    one, two = (mix(images, labels, CLASSES, 0.5, 0.5, seeded(4)) for _ in range(2))
    assert torch.equal(one[0], two[0]) and torch.equal(one[1], two[1])
    assert torch.equal(images, before)
