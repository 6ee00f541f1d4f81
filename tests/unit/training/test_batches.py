"""Order, sizes and repeatability of the batches of an epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from hpo.rng import Key
from hpo.training.batches import EpochBatches, epoch_order, steps_per_epoch
from hpo.training.data import ImageSet

Make = Callable[..., tuple[Any, ...]]
KEY = Key(5) / "trial" / 0


def _numbered(count: int) -> ImageSet:
    """Image i has the value i everywhere and the label i."""
    pixels = torch.arange(count).view(-1, 1, 1, 1).expand(count, 3, 32, 32).half()
    return ImageSet(pixels, torch.arange(count), torch.arange(count), None)


def _epoch(
    make_tiny: Make, images: ImageSet, epoch: int = 1, **fields: object
) -> list[tuple[Tensor, Tensor]]:
    configuration, _ = make_tiny(**fields)
    return list(EpochBatches(configuration, images, KEY, epoch))


def test_each_image_comes_exactly_once(make_tiny: Make) -> None:
    batches = _epoch(make_tiny, _numbered(96))
    assert [len(labels) for _, labels in batches] == [32, 32, 32]
    labels = torch.cat([labels for _, labels in batches])
    assert sorted(labels.tolist()) == list(range(96))
    assert labels.tolist() != list(range(96))


def test_images_keep_their_labels(make_tiny: Make) -> None:
    batches = list(_epoch(make_tiny, _numbered(96)))
    assert len(batches) > 1
    for images, labels in batches:
        assert torch.equal(images[:, 0, 0, 0], labels.float())
        assert images.dtype == torch.float32
        assert images.is_contiguous(memory_format=torch.channels_last)


def test_a_last_partial_batch_is_left_out(make_tiny: Make) -> None:
    batches = _epoch(make_tiny, _numbered(90))
    assert [len(labels) for _, labels in batches] == [32, 32]
    assert steps_per_epoch(90, 32) == 2


def test_a_set_smaller_than_a_batch_is_one_batch(make_tiny: Make) -> None:
    ((_, labels),) = _epoch(make_tiny, _numbered(20))
    assert sorted(labels.tolist()) == list(range(20))
    assert steps_per_epoch(20, 32) == 1


def test_rows_outside_the_set_are_never_taken(make_tiny: Make) -> None:
    whole = _numbered(96)
    odd = ImageSet(whole.pixels, whole.labels, torch.arange(1, 96, 2), None)
    labels = torch.cat([labels for _, labels in _epoch(make_tiny, odd, batch_size=16)])
    assert sorted(labels.tolist()) == list(range(1, 96, 2))


def test_the_order_is_a_function_of_key_and_epoch() -> None:
    assert torch.equal(epoch_order(KEY, 3, 50), epoch_order(KEY, 3, 50))
    assert not torch.equal(epoch_order(KEY, 3, 50), epoch_order(KEY, 4, 50))
    assert not torch.equal(epoch_order(KEY, 3, 50), epoch_order(Key(6), 3, 50))


@pytest.mark.parametrize("augmentation", ["flip", "flip_crop", "flip_crop_cutout"])
def test_augmented_batches_repeat_whatever_was_drawn_before(augmentation: str, make_tiny: Make) -> None:
    _, data = make_tiny()
    first = _epoch(make_tiny, data.train, augmentation=augmentation)
    torch.rand(7)
    again = _epoch(make_tiny, data.train, augmentation=augmentation)
    other = _epoch(make_tiny, data.train, epoch=2, augmentation=augmentation)
    plain = _epoch(make_tiny, data.train, augmentation="none")
    assert all(torch.equal(a, b) for (a, _), (b, _) in zip(first, again, strict=True))
    assert not torch.equal(first[0][0], other[0][0])
    assert not torch.equal(first[0][0], plain[0][0])
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(first, plain, strict=True))


_CHANGES: list[dict[str, Any]] = [
    {"rotation": 20},
    {"zoom": 0.2},
    {"color_jitter": 0.3},
    {"grayscale": 0.5},
    {"erasing": 0.5},
    {"auto_augment": "randaugment"},
    {"auto_augment": "trivialaugment"},
    {"mixup": 0.4},
    {"cutmix": 1.0},
]


@pytest.mark.parametrize("change", _CHANGES, ids=str)
def test_each_transformation_changes_images_and_repeats(change: dict[str, Any], make_tiny: Make) -> None:
    configuration, data = make_tiny(**change)
    plain, _ = make_tiny()
    found, again, without = (
        next(iter(EpochBatches(each, data.train, KEY, 1, classes=10)))
        for each in (configuration, configuration, plain)
    )
    assert torch.equal(found[0], again[0]) and not torch.equal(found[0], without[0])
    assert found[0].shape == without[0].shape and found[0].dtype == torch.float32
    mixes = "mixup" in change or "cutmix" in change
    assert found[1].shape == ((32, 10) if mixes else (32,))


def test_each_epoch_augments_again(make_tiny: Make) -> None:
    _, data = make_tiny()
    one_image = ImageSet(data.train.pixels, data.train.labels, torch.zeros(32, dtype=torch.int64), None)
    (first, _), *_ = _epoch(make_tiny, one_image, epoch=1, augmentation="flip_crop")
    (second, _), *_ = _epoch(make_tiny, one_image, epoch=2, augmentation="flip_crop")
    assert not torch.equal(first, second)


def test_alternating_flips_show_both_sides_of_each_image_in_turn(make_tiny: Make) -> None:
    """Image i holds its number and, in the left column, 0."""
    images = _numbered(96)
    pixels = images.pixels.clone()
    pixels[:, :, :, 0] = 0
    images = ImageSet(pixels, images.labels, images.rows, None)
    sides = []
    for epoch in (1, 2, 3):
        seen = torch.empty(96, dtype=torch.bool)
        for batch, labels in _epoch(make_tiny, images, epoch, augmentation="flip", flip="alternating"):
            seen[labels] = batch[:, 0, 0, -1] == 0
        sides.append(seen[1:])
    first = sides[0]
    assert 30 < first.sum() < 65
    assert torch.equal(sides[1], ~first) and torch.equal(sides[2], first)
