"""Stratified, seeded splits."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.data.split import Fold, fewest_training_images, held_out_counts, split
from hpo.errors import DataError
from hpo.rng import Key

BALANCED = np.tile(np.arange(10), 100)
NAMES = [f"pet {i}" for i in range(10)]
LOPSIDED = np.repeat([0, 1, 2], [600, 300, 100])


def test_parts_are_disjoint_sorted_and_complete() -> None:
    parts = split(BALANCED, NAMES, 0.1, None, Key(0))
    assert len(parts.val) == 100 and len(parts.train) == 900
    assert parts.train.dtype == parts.val.dtype == np.int64
    assert np.array_equal(np.sort(np.concatenate([parts.train, parts.val])), np.arange(1000))
    assert (np.diff(parts.train) > 0).all() and (np.diff(parts.val) > 0).all()


def test_each_class_has_its_share_of_either_part() -> None:
    parts = split(LOPSIDED, NAMES[:3], 0.2, 400, Key(0))
    assert np.bincount(LOPSIDED[parts.val]).tolist() == [120, 60, 20]
    assert np.bincount(LOPSIDED[parts.train]).tolist() == [240, 120, 40]


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    counts=st.lists(st.integers(20, 60), min_size=2, max_size=6),
    fraction=st.floats(0.1, 0.5),
    share=st.floats(0.3, 1),
)
def test_shares_are_right_to_an_image_or_two(counts: list[int], fraction: float, share: float) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    n_val = round(len(labels) * fraction)
    n_train = round((len(labels) - n_val) * share)
    parts = split(labels, NAMES[: len(counts)], fraction, n_train, Key(1))
    assert (len(parts.val), len(parts.train)) == (n_val, n_train)
    ideal = np.array(counts) / len(labels)
    assert np.abs(np.bincount(labels[parts.val]) - ideal * n_val).max() <= 1.5
    assert np.abs(np.bincount(labels[parts.train]) - ideal * n_train).max() <= 2


@pytest.mark.parametrize("counts", [(475, 25), (25, 475), (60, 60), (50,) * 10, (7, 30, 100)])
@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5])
def test_held_out_counts_are_those_of_the_split(counts: tuple[int, ...], fraction: float) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    names = NAMES[: len(counts)]
    for order, off in ((labels, 0), (labels[::-1], 1)):
        held_out = np.bincount(order[split(order, names, fraction, None, Key(3)).val], minlength=len(counts))
        assert np.abs(np.array(held_out_counts(counts, fraction)) - held_out).max() <= off


def test_split_of_fewer_images_is_nested_with_the_same_validation() -> None:
    full, half, tiny = (split(BALANCED, NAMES, 0.1, n, Key(7)) for n in (None, 450, 33))
    assert set(tiny.train) < set(half.train) < set(full.train)
    assert np.array_equal(full.val, half.val) and np.array_equal(full.val, tiny.val)


def test_the_key_decides() -> None:
    one, same, other = (split(BALANCED, NAMES, 0.1, None, Key(seed)) for seed in (0, 0, 1))
    assert np.array_equal(one.val, same.val)
    assert not np.array_equal(one.val, other.val)


def test_more_training_images_than_there_are() -> None:
    with pytest.raises(DataError) as caught:
        split(BALANCED, NAMES, 0.1, 950, Key(0))
    assert str(caught.value) == (
        "train_images is 950, but only 900 of 1,000 training images are left when val_fraction: 0.1 is held "
        "out: use train_images: 900 or fewer"
    )


RARE = np.repeat([0, 1, 2], [100, 3, 60])
"""The class dog has three images."""


@pytest.mark.parametrize(
    ("labels", "fraction", "train_images", "message"),
    [
        (
            RARE, 0.1, None,
            "validation: class dog has 3 training images, and val_fraction: 0.1 leaves none of it for "
            "validation. Add images of dog, leave the class out, or use val_fraction: 0.18",
        ),
        (
            RARE, 0.2, 10,
            "training: class dog has 3 training images, and train_images: 10 leaves none of it for training. "
            "Add images of dog, leave the class out, or use train_images: 49 or more",
        ),
        (
            np.repeat([0, 1, 2], [50, 1, 50]), 0.1, None,
            "validation: class dog has 1 training image, and val_fraction: 0.1 leaves none of it for "
            "validation. Add images of dog, leave the class out",
        ),
        (
            np.repeat([0, 1, 2], [30, 4, 3]), 0.02, None,
            "validation: class fox has 3 training images, and val_fraction: 0.02 leaves none of it, nor of 1 "
            "more, for validation. Add images of fox, leave the class out, or use val_fraction: 0.19",
        ),
    ],
)  # fmt: skip
def test_class_without_images_in_a_part_is_named_with_a_remedy(
    labels: np.ndarray, fraction: float, train_images: int | None, message: str
) -> None:
    names = ["cat", "dog", "fox"]
    with pytest.raises(DataError) as caught:
        split(labels, names, fraction, train_images, Key(0))
    assert str(caught.value) == f"too few images for {message}"
    for name, value in re.findall(r"use (\w+): ([\d.]+)", message):
        changed = {"val_fraction": fraction, "train_images": train_images, name: float(value)}
        number = changed["train_images"]
        split(labels, names, changed["val_fraction"], number and int(number), Key(0))  # type: ignore[arg-type]


@settings(max_examples=50, deadline=None, derandomize=True)
@given(counts=st.lists(st.integers(2, 30), min_size=2, max_size=6), fraction=st.floats(0.05, 0.5))
def test_fewest_training_images_is_the_least_that_is_accepted(counts: list[int], fraction: float) -> None:
    labels, names = np.repeat(np.arange(len(counts)), counts), NAMES[: len(counts)]
    try:
        split(labels, names, fraction, None, Key(3))
    except DataError:
        return  # no number of training images would do
    fewest = fewest_training_images(labels, names, fraction, Key(3))
    split(labels, names, fraction, fewest, Key(3))
    with pytest.raises(DataError, match="too few images for training"):
        split(labels, names, fraction, fewest - 1, Key(3))


def test_classes_are_shuffled_apart() -> None:
    """In rows of ten images, one of each class, validation is not made of whole rows."""
    rows = split(BALANCED, NAMES, 0.1, None, Key(0)).val // 10
    assert len(np.unique(rows)) > 40


def test_folds_are_disjoint_stratified_and_together_everything() -> None:
    labels = np.repeat(np.arange(10), 50)
    rows = [split(labels, NAMES, 0.1, None, Key(0), Fold(5, fold)) for fold in range(5)]
    np.testing.assert_array_equal(np.sort(np.concatenate([each.val for each in rows])), np.arange(500))
    for each in rows:
        assert np.bincount(labels[each.val]).tolist() == [10] * 10
        np.testing.assert_array_equal(np.sort(np.concatenate([each.train, each.val])), np.arange(500))
    small = split(labels, NAMES, 0.1, 100, Key(0), Fold(5, 2))
    assert set(small.train) < set(rows[2].train)
    np.testing.assert_array_equal(small.val, rows[2].val)


def test_training_and_validation_images_together() -> None:
    labels = np.repeat(np.arange(10), 50)
    usual = split(labels, NAMES, 0.2, 100, Key(0))
    both = split(labels, NAMES, 0.2, 100, Key(0), Fold(include_validation=True))
    np.testing.assert_array_equal(both.train, np.sort(np.concatenate([usual.train, usual.val])))
    np.testing.assert_array_equal(both.val, usual.val)
