"""Roughness against numpy and theory; labels that a linear model can tell, and those that it cannot."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hpo.checks.measure.linear_probe import linear_probe, roughness


def test_linear_probe_noise_has_the_roughness_that_theory_gives() -> None:
    """Means of s x s independent pixels have a variance of 1 / s^2."""
    torch.manual_seed(0)
    assert roughness(torch.randn(400, 3, 32, 32)) == pytest.approx((1, 1 / 4, 1 / 16, 1 / 64), rel=0.1)


@pytest.mark.parametrize(("height", "width", "scales"), [(8, 8, 3), (37, 42, 4), (30, 19, 4)])
def test_linear_probe_numbers_are_those_of_numpy(height: int, width: int, scales: int) -> None:
    torch.manual_seed(0)
    images = torch.randn(5, 2, height, width).cumsum(3)
    values = images.numpy().astype(np.float64)
    values = values - values.mean((2, 3), keepdims=True)
    expected = []
    for scale in (1, 2, 4, 8)[:scales]:
        rows, columns = height // scale, width // scale
        whole = values[:, :, : rows * scale, : columns * scale]
        cells = whole.reshape(5, 2, rows, scale, columns, scale).mean((3, 5))
        across = (np.diff(cells, axis=2) ** 2).mean() + (np.diff(cells, axis=3) ** 2).mean()
        expected.append(across / 4 / (values**2).mean())
    assert roughness(images) == pytest.approx(expected, rel=1e-4)


def test_linear_probe_images_without_variation_have_none() -> None:
    assert roughness(torch.ones(4, 3, 32, 32)) == ()
    assert roughness(torch.randn(4, 3, 1, 1)) == ()


def test_linear_probe_finds_what_is_there_and_no_more() -> None:
    torch.manual_seed(0)
    shades = 3 * torch.randn(10, 3, 2, 2).repeat_interleave(4, 2).repeat_interleave(4, 3)

    def split() -> tuple[torch.Tensor, torch.Tensor]:
        labels = torch.randint(10, (256,))
        return torch.randn(256, 3, 8, 8) + shades[labels], labels

    (train, labels), (val, val_labels) = split(), split()
    sound = linear_probe(train, labels, val, val_labels, 10)
    assert min(sound.train, sound.val, sound.transfer) > 0.7
    assert sound.examples == 256
    shuffled = linear_probe(train, labels.roll(1), val, val_labels, 10)
    assert shuffled.train < 0.17 and shuffled.transfer < 0.17 and shuffled.val == sound.val
    renamed = linear_probe(train, labels, val, (val_labels + 1) % 10, 10)
    assert min(renamed.train, renamed.val) > 0.7 and renamed.transfer < 0.1
