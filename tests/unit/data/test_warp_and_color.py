"""Rotation, zoom and changes of color: hand-computed cases, ranges, repeatability."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hpo.data.color import brightness, contrast, gray, jitter, make_gray, saturation
from hpo.data.warp import rotate_and_zoom, warp


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def turned(quarter: int, batch: Tensor) -> Tensor:
    angle = torch.tensor(quarter * torch.pi / 2)
    c, s = angle.cos(), angle.sin()
    maps = torch.stack([c, -s, torch.zeros(()), s, c, torch.zeros(())]).view(1, 2, 3)
    return warp(batch, maps.expand(len(batch), 2, 3), "bilinear", "reflection")


@pytest.mark.parametrize("quarter", [0, 1, 2, 3])
def test_a_quarter_turn_moves_whole_pixels(quarter: int) -> None:
    batch = torch.randn(3, 2, 8, 8, generator=seeded())
    assert torch.allclose(turned(quarter, batch), batch.rot90(-quarter, (2, 3)), atol=1e-4) or torch.allclose(
        turned(quarter, batch), batch.rot90(quarter, (2, 3)), atol=1e-4
    )


def test_a_zoom_enlarges_around_the_center() -> None:
    batch = torch.zeros(1, 1, 16, 16)
    batch[:, :, 6:10, 6:10] = 1
    maps = torch.tensor([[[0.5, 0, 0], [0, 0.5, 0]]])
    larger = warp(batch, maps, "nearest", "zeros")
    expected = torch.zeros(1, 1, 16, 16)
    expected[:, :, 4:12, 4:12] = 1
    assert torch.equal(larger, expected)


def test_rotations_and_zooms_stay_in_range_and_differ() -> None:
    batch = torch.zeros(400, 1, 33, 33)
    batch[:, :, 16, 16:] = 1  # a line from the center to the right
    line = rotate_and_zoom(batch, 30, 0, seeded())
    ends = line[:, 0, :, 30].argmax(1) - 16
    assert ends.min() < -5 and ends.max() > 5 and ends.abs().max() <= 14 * 0.58 + 1
    assert len({image.numpy().tobytes() for image in line}) > 390
    square = torch.zeros(400, 1, 32, 32)
    square[:, :, 8:24, 8:24] = 1
    sides = rotate_and_zoom(square, 0, 0.25, seeded())[:, 0, 16].sum(1)
    assert 11.9 < sides.min() < 13 and 19 < sides.max() < 20.1


def test_nothing_moves_at_zero() -> None:
    batch = torch.randn(4, 3, 12, 20, generator=seeded())
    assert torch.allclose(rotate_and_zoom(batch, 0, 0, seeded()), batch, atol=1e-5)


def test_factors_change_what_they_are_named_after() -> None:
    batch = torch.tensor([100.0, 50.0, 10.0]).view(1, 3, 1, 1).expand(2, 3, 4, 4).contiguous()
    half = torch.tensor([0.5, 3.0])
    assert brightness(batch, half)[:, :, 0, 0].tolist() == [[50, 25, 5], [255, 150, 30]]
    level = float(gray(batch)[0, 0, 0, 0])
    assert level == int(0.2989 * 100 + 0.587 * 50 + 0.114 * 10)
    expected = [level + 0.5 * (value - level) for value in (100.0, 50.0, 10.0)]
    assert saturation(batch, half)[0, :, 0, 0].tolist() == pytest.approx(expected)
    assert contrast(batch, half)[0, :, 0, 0].tolist() == pytest.approx(expected)  # of one gray level


def test_jitter_draws_for_each_image_within_the_strength() -> None:
    batch = torch.full((500, 1, 4, 4), 100.0)
    levels = jitter(batch, 0.2, seeded())[:, 0, 0, 0]
    assert 80 <= levels.min() < 82 and 118 < levels.max() <= 120.01
    assert torch.equal(jitter(batch, 0.2, seeded(1)), jitter(batch, 0.2, seeded(1)))


def test_grayscale_takes_the_color_of_its_share() -> None:
    batch = torch.tensor([200.0, 100.0, 0.0]).view(1, 3, 1, 1).repeat(2000, 1, 2, 2)
    result = make_gray(batch, 0.3, seeded())
    colorless = (result[:, 0] == result[:, 2]).all((1, 2))
    assert colorless.float().mean().item() == pytest.approx(0.3, abs=0.04)
    assert torch.equal(result[~colorless], batch[~colorless])
    assert torch.equal(result[colorless][:, :1], gray(batch)[colorless])
