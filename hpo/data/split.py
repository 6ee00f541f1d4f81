"""A stratified, seeded split of the training images into training and validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpo.data.cache import Labels
from hpo.errors import DataError
from hpo.rng import Key


@dataclass(frozen=True)
class Split:
    """Sorted, disjoint indices (int64) into the training images."""

    train: Labels
    val: Labels


@dataclass(frozen=True)
class Fold:
    """The training images held out for validation, if they are not the study's own ``val_fraction``."""

    count: int = 0
    """Number of equal folds; 0 for the study's own split."""
    index: int = 0
    """The fold that is held out, from 0."""
    include_validation: bool = False
    """Also train on the validation images. Validation accuracy is then meaningless."""


def split(
    labels: Labels,
    val_fraction: float,
    train_images: int | None,
    key: Key,
    fold: Fold = Fold(),
) -> Split:
    """Hold out ``val_fraction`` of the images, and keep ``train_images`` of the others (all if ``None``).

    Each class gets its proportional share of both parts, within an image or two. The validation images do
    not depend on ``train_images``, and a smaller training set is a subset of a larger one. Raises
    ``DataError`` if a part would have no images of a class, or if there are fewer than ``train_images``.
    """
    order = _stratified_order(labels, key)
    if fold.count:
        folds = np.array_split(order, fold.count)
        val = folds.pop(fold.index)
        rest = np.concatenate(folds)
        val_fraction = 1 / fold.count
    else:
        val, rest = np.split(order, [round(len(labels) * val_fraction)])
    if train_images is not None and train_images > len(rest):
        raise DataError(
            f"train_images is {train_images:,}, but only {len(rest):,} of {len(labels):,} training images "
            f"are left when val_fraction: {val_fraction:g} is held out"
        )
    train = rest[:train_images]
    classes = np.bincount(labels)
    _check_every_class("validation", labels[val], classes, f"val_fraction: {val_fraction:g}")
    _check_every_class("training", labels[train], classes, f"train_images: {train_images or 'all'}")
    if fold.include_validation:
        train = np.concatenate([train, val])
    return Split(train=np.sort(train), val=np.sort(val))


def _stratified_order(labels: Labels, key: Key) -> Labels:
    """Return all indices in an order in which every range has the classes in proportion.

    The r-th of a class's n shuffled images gets the sort key (r + 1/2) / n (the Sainte-Laguë method of
    allocating seats, under which no class loses a seat when there are more of them).
    """
    position = np.empty(len(labels))
    for c in range(int(labels.max()) + 1):
        members = np.flatnonzero(labels == c)
        position[members] = ((key / "class" / c).numpy().permutation(len(members)) + 0.5) / len(members)
    return np.argsort(position, kind="stable").astype(np.int64)


def held_out_counts(class_counts: Sequence[int], val_fraction: float) -> list[int]:
    """Return how many images of each class ``split`` holds out for validation, given those of a data set.

    Exact if the images are sorted by class, as those of a folder are; otherwise within one.
    """
    labels = np.repeat(np.arange(len(class_counts)), class_counts)
    held_out = _stratified_order(labels, Key(0))[: round(len(labels) * val_fraction)]
    counts: list[int] = np.bincount(labels[held_out], minlength=len(class_counts)).tolist()
    return counts


def _check_every_class(part: str, labels: Labels, classes: Labels, why: str) -> None:
    missing = np.flatnonzero(np.bincount(labels, minlength=len(classes)) == 0)
    if len(missing):
        raise DataError(
            f"too few images for {part}: {why} leaves {len(labels)} images for {len(classes)} classes, "
            f"and none of class {missing[0]}, which has {classes[missing[0]]} in the training split"
        )


def split_key(seed: Key) -> Key:
    """Return the key of a study's split, which all trials share."""
    return seed / "split"
