"""Flips, crops and cutouts: statistics, hand-computed cases, repeatability."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from hpo.config.configuration import Augmentation, Configuration
from hpo.data.augment import augment, cutout, erase, flip_and_crop
from hpo.data.augmenter import Augmenter

POLICIES = get_args(Augmentation)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(count: int, side: int = 32) -> Tensor:
    """Equal images (count, 2, side, side) that hold each pixel's row and column, counted from 1."""
    line = torch.arange(1.0, side + 1)
    image = torch.stack([line.view(-1, 1).expand(side, side), line.view(1, -1).expand(side, side)])
    return image.repeat(count, 1, 1, 1)


def moves(batch: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Whether each numbered image was mirrored, and its shifts in rows and columns, read off its middle."""
    row, column, next_column = batch[:, 0, 16, 16], batch[:, 1, 16, 16], batch[:, 1, 16, 17]
    mirrored = next_column < column
    return mirrored, (row - 17).long(), torch.where(mirrored, 16 - column, column - 17).long()


def test_every_image_is_a_slice_of_its_mirrored_and_padded_self() -> None:
    batch = torch.randn(40, 2, 32, 32, generator=seeded(1))
    result = flip_and_crop(batch, 4, seeded(2))
    mirrored, down, right = moves(flip_and_crop(numbered(40), 4, seeded(2)))
    for i in range(40):
        image = batch[i : i + 1].flip(-1) if mirrored[i] else batch[i : i + 1]
        padded = F.pad(image, (4, 4, 4, 4), mode="reflect")[0]
        y, x = 4 + int(down[i]), 4 + int(right[i])
        assert torch.equal(result[i], padded[:, y : y + 32, x : x + 32]), i


def test_flips_and_shifts_are_uniform_and_independent() -> None:
    mirrored, down, right = moves(augment(numbered(8000), "flip_crop", 1.0, seeded()))
    assert mirrored.float().mean().item() == pytest.approx(0.5, abs=0.025)
    for shift in (down, right):
        counts = torch.bincount(shift + 4, minlength=9)
        assert len(counts) == 9
        assert (counts - 8000 / 9).abs().max() < 5 * (8000 / 9) ** 0.5
    together = torch.stack([mirrored.float(), down.float(), right.float()])
    assert (torch.corrcoef(together) - torch.eye(3)).abs().max() < 0.05


@pytest.mark.parametrize(("strength", "largest"), [(0.1, 0), (0.25, 1), (1.0, 4), (1.6, 6), (3.0, 12)])
def test_strength_scales_the_shift(strength: float, largest: int) -> None:
    _, down, right = moves(augment(numbered(3000), "flip_crop", strength, seeded()))
    for shift in (down, right):
        assert (int(shift.min()), int(shift.max())) == (-largest, largest)


def test_flip_only_mirrors() -> None:
    batch = torch.randn(200, 3, 32, 32, generator=seeded(1))
    result = augment(batch, "flip", 3.0, seeded())
    mirrored = (result != batch).flatten(1).any(1)
    assert torch.equal(result, torch.where(mirrored.view(-1, 1, 1, 1), batch.flip(-1), batch))
    assert 60 < mirrored.sum() < 140


@pytest.mark.parametrize("policy", ["none", "flip"])
def test_translate_shifts_by_pixels_whatever_the_strength(policy: str) -> None:
    mirrored, down, right = moves(augment(numbered(3000), policy, 3.0, seeded(), translate=2))
    assert mirrored.any() == (policy == "flip")
    for shift in (down, right):
        counts = torch.bincount(shift + 2, minlength=5)
        assert len(counts) == 5 and (counts - 600).abs().max() < 5 * 600**0.5


def test_given_images_are_mirrored_and_draws_are_those_of_the_shift_alone() -> None:
    wanted = torch.rand(200, generator=seeded(3)) < 0.5
    mirrored, down, right = moves(augment(numbered(200), "flip", 1.0, seeded(), translate=2, mirrored=wanted))
    assert torch.equal(mirrored, wanted)
    drawn = torch.randint(-2, 3, (2, 200, 1), generator=seeded())
    assert torch.equal(torch.stack([down, right]), drawn.squeeze(2))


def test_a_crop_without_flip_keeps_left_and_right() -> None:
    mirrored, down, right = moves(augment(numbered(2000), "crop", 1.0, seeded()))
    assert not mirrored.any()
    assert (int(down.min()), int(down.max())) == (int(right.min()), int(right.max())) == (-4, 4)


def test_erasing_blanks_one_rectangle_in_the_share_of_images() -> None:
    blank = erase(torch.ones(2000, 3, 32, 48), 0.25, seeded()) == 0
    assert torch.equal(blank.any(1), blank.all(1))
    rows, columns = blank[:, 0].any(2).sum(1), blank[:, 0].any(1).sum(1)
    areas = blank[:, 0].sum((1, 2))
    assert torch.equal(areas, rows * columns)
    erased = areas > 0
    assert erased.float().mean().item() == pytest.approx(0.25, abs=0.04)
    shares = areas[erased] / (32 * 48)
    assert shares.min() > 0.01 and shares.max() < 0.36
    assert shares.mean().item() == pytest.approx(0.175, abs=0.02)
    ratios = rows[erased] / columns[erased]
    assert 0.2 < ratios.min() < 0.4 and 2.5 < ratios.max() < 4.5


def test_none_changes_nothing() -> None:
    batch = torch.randn(4, 3, 32, 32)
    assert augment(batch, "none", 1.0, seeded()) is batch


@pytest.mark.parametrize(("strength", "side"), [(0.5, 4), (1.0, 8), (3.0, 24)])
def test_cutout_blanks_one_square_in_each_image(strength: float, side: int) -> None:
    blank = augment(torch.ones(500, 3, 32, 32), "flip_crop_cutout", strength, seeded()) == 0
    assert torch.equal(blank.any(1), blank.all(1))
    rows, columns = blank[:, 0].any(2), blank[:, 0].any(1)
    assert (rows.sum(1) == side).all() and (columns.sum(1) == side).all()
    assert (blank[:, 0].sum((1, 2)) == side * side).all()
    tops = rows.float().argmax(1)
    assert tops.min() == 0 and tops.max() == 32 - side
    assert len(tops.unique()) > (32 - side) * 0.9


def test_cutout_leaves_the_rest() -> None:
    batch = torch.rand(50, 3, 32, 32, generator=seeded(1)) + 1
    result = cutout(batch.clone(), 8, seeded())
    kept = result != 0
    assert torch.equal(result[kept], batch[kept])


@pytest.mark.parametrize("policy", POLICIES[1:])
def test_two_equal_images_of_a_batch_come_out_different(policy: str) -> None:
    batch = torch.randn(1, 3, 32, 32, generator=seeded(1)).repeat(64, 1, 1, 1)
    distinct = len({image.numpy().tobytes() for image in augment(batch, policy, 1.0, seeded())})
    assert distinct == 2 if policy == "flip" else distinct > 40


@pytest.mark.parametrize("policy", POLICIES)
def test_the_generator_alone_decides(policy: str) -> None:
    batch = torch.randn(16, 3, 32, 32, generator=seeded(1))
    torch.manual_seed(1)
    one = augment(batch, policy, 1.0, seeded(5))
    torch.manual_seed(2)
    generator = seeded(5)
    assert torch.equal(one, augment(batch, policy, 1.0, generator))
    assert policy == "none" or not torch.equal(one, augment(batch, policy, 1.0, generator))


@pytest.mark.parametrize("policy", POLICIES)
def test_images_keep_their_place_in_the_batch(policy: str) -> None:
    """Labels are not touched, so the i-th image must stay the i-th."""
    value = torch.arange(1.0, 33).view(-1, 1, 1, 1)
    result = augment(value.expand(32, 3, 32, 32).clone(), policy, 1.0, seeded())
    assert ((result == value) | (result == 0)).all()
    assert torch.equal(result.flatten(1).amax(1), value.flatten())


@pytest.mark.parametrize("policy", POLICIES)
def test_the_input_stays_as_it_is(policy: str) -> None:
    batch = torch.randn(8, 3, 32, 32)
    before = batch.clone()
    augment(batch, policy, 1.0, seeded())
    assert torch.equal(batch, before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.uint8])
def test_any_type_and_memory_format_give_the_same_moves(dtype: torch.dtype) -> None:
    batch = numbered(16).to(dtype)
    plain = augment(batch, "flip_crop_cutout", 1.0, seeded())
    nhwc = augment(batch.contiguous(memory_format=torch.channels_last), "flip_crop_cutout", 1.0, seeded())
    assert plain.dtype == dtype
    assert torch.equal(plain, nhwc)


@pytest.mark.parametrize(
    "wanted",
    [
        {"augmentation": "flip"},
        {"augmentation": "flip_crop_cutout", "augmentation_strength": 3.0, "erasing": 0.5},
        {"augmentation": "none", "translate": 2},
        {"augmentation": "flip_crop", "flip": "alternating"},
        {"augmentation": "none", "erasing": 1.0},
    ],
    ids=str,
)
def test_bytes_moved_before_preprocessing_give_the_same_images(wanted: dict[str, Any]) -> None:
    pixels = torch.randint(0, 256, (6, 3, 12, 9), generator=seeded(1), dtype=torch.uint8)
    scale, shift = torch.rand((2, 3, 1, 1), generator=seeded(2))
    mirrored = torch.tensor([True, False] * 3) if "flip" in wanted else None
    found = []
    for early in (False, True):
        augmenter, generator = Augmenter(Configuration(**wanted), early), seeded()
        images = augmenter.pixels(pixels, generator, mirrored).float().mul_(scale).add_(shift)
        found.append(augmenter.images(images, generator, mirrored))
    assert torch.equal(*found)
    assert not torch.equal(found[0], pixels.float().mul_(scale).add_(shift))


def test_images_that_turn_are_moved_after_they_turned() -> None:
    pixels = torch.rand(4, 3, 9, 9, generator=seeded(1))
    wanted = Configuration(rotation=30.0, augmentation="flip_crop")
    assert Augmenter(wanted, early=True).pixels(pixels, seeded()) is pixels


@pytest.mark.parametrize("width", [1, 2, 3])
def test_narrow_images_are_moved_within_themselves(width: int) -> None:
    batch = torch.arange(5 * 4 * width).view(5, 1, 4, width)
    moved = flip_and_crop(batch, min(1, width - 1), seeded())
    assert all(
        set(a.flatten().tolist()) <= set(b.flatten().tolist()) for a, b in zip(moved, batch, strict=True)
    )
