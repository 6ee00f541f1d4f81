"""A stratified, seeded split of the training images into training and validation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpo.data.cache import Labels
from hpo.data.division import DRAWN, Division, Wanted, block_folds, chosen_blocks, latest_blocks
from hpo.errors import DataError
from hpo.rng import Key
from hpo.text import counted

_MOST_HELD_OUT = 0.5
"""The limit of ``val_fraction``."""


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
    classes: Sequence[str],
    val_fraction: float,
    train_images: int | None,
    key: Key,
    fold: Fold = Fold(),
    division: Division = DRAWN,
) -> Split:
    """Hold out ``val_fraction`` of the images, and keep ``train_images`` of the others (all if ``None``).

    Each class gets its proportional share of both parts, within an image or two; see ``division`` for what
    else may decide. The validation images do not depend on ``train_images``, and a smaller training set is a
    subset of a larger one. ``classes`` are the names of the labels. Raises ``DataError`` if a part would have
    no images of a class, or if there are fewer than ``train_images``.
    """
    order = _stratified_order(labels, key)
    if division.kind == "drawn":
        val, rest = _apart(order, val_fraction, fold)
    else:
        val, rest = _divided(labels, classes, val_fraction, key, fold, division)
    held_out = _cause(val_fraction, fold, division)
    if train_images is not None and train_images > len(rest):
        raise DataError(
            f"train_images is {train_images:,}, but only {len(rest):,} of "
            f"{counted(len(labels), 'training image')} "
            f"are left when {held_out} is held out: use train_images: {len(rest)} or fewer"
        )
    train = rest[:train_images]
    for part, rows in (("validation", val), ("training", train)):
        missing = np.flatnonzero(np.bincount(labels[rows], minlength=len(classes)) == 0)
        is_given = part == "validation" and division.kind == "given"  # as it is; a warning tells it
        if len(missing) and not is_given:
            shortage = _Shortage(labels, order, rest, fold, val_fraction, train_images, division)
            raise DataError(shortage.message(part, classes, missing))
    if fold.include_validation:
        train = np.concatenate([train, val])
    return Split(train=np.sort(train), val=np.sort(val))


def fewest_training_images(
    labels: Labels, classes: Sequence[str], val_fraction: float, key: Key, division: Division = DRAWN
) -> int:
    """Return the least ``train_images`` with which ``split`` has each class that it can have."""
    if division.kind == "drawn":
        _, rest = _apart(_stratified_order(labels, key), val_fraction, Fold())
    else:
        _, rest = _divided(labels, classes, val_fraction, key, Fold(), division)
    return _until_every_class(labels[rest])


def _divided(
    labels: Labels, classes: Sequence[str], val_fraction: float, key: Key, fold: Fold, division: Division
) -> tuple[Labels, Labels]:
    """Return the validation images and the others, these stratified, as a division has them."""
    held = _held(labels, classes, val_fraction, key, fold, division)
    rest = np.flatnonzero(~held)
    return np.flatnonzero(held), rest[_stratified_order(labels[rest], key)]


def _held(
    labels: Labels, classes: Sequence[str], val_fraction: float, key: Key, fold: Fold, division: Division
) -> npt.NDArray[np.bool_]:
    if fold.count and division.kind in ("given", "order"):
        raise DataError(f"folds: {fold.count} {no_folds(division)}")
    if division.kind == "given":
        only = np.unique(labels[len(labels) - division.given :])
        if len(only) < 2:
            raise DataError(
                f"the validation split has only images of {classes[only[0]]}, which a network that "
                "names nothing else gets right: add images of other classes, or use validation: drawn, "
                "which leaves it unused"
            )
        return np.arange(len(labels)) >= len(labels) - division.given
    blocks = division.blocks
    assert blocks is not None
    if fold.count:
        held: npt.NDArray[np.bool_] = (
            block_folds(labels, classes, blocks, fold.count, key / "folds") == fold.index
        )
        return held
    wanted = Wanted(val_fraction, f"val_fraction: {val_fraction:g}")
    if blocks.ordered:
        return latest_blocks(blocks, wanted)
    return chosen_blocks(labels, classes, blocks, wanted, key / "groups")


def no_folds(division: Division) -> str:
    """Return why images that are divided so have no folds."""
    if division.kind == "given":
        return (
            "would train on images of the validation split that the data set has; with validation: drawn it "
            "is not used"
        )
    return "would train on images that are later than those of validation: leave out order, or folds"


def _cause(val_fraction: float, fold: Fold, division: Division) -> str:
    """Return what decides how many images validate."""
    if division.kind == "given":
        return "the validation split"
    return f"folds: {fold.count}" if fold.count else f"val_fraction: {val_fraction:g}"


def _apart(order: Labels, val_fraction: float, fold: Fold) -> tuple[Labels, Labels]:
    """Return the validation images and the others, each in order."""
    if fold.count:
        folds = np.array_split(order, fold.count)
        val = folds.pop(fold.index)
        return val, np.concatenate(folds)
    val, rest = np.split(order, [round(len(order) * val_fraction)])
    return val, rest


def _until_every_class(labels: Labels) -> int:
    """Return how many of the first labels have every class that occurs."""
    _, first = np.unique(labels, return_index=True)
    return int(first.max(initial=-1)) + 1


@dataclass(frozen=True)
class _Shortage:
    """A split that has no images of a class in one of its parts."""

    labels: Labels
    order: Labels
    rest: Labels
    fold: Fold
    val_fraction: float
    train_images: int | None
    division: Division = DRAWN

    def message(self, part: str, classes: Sequence[str], missing: Labels) -> str:
        """Return which class is missing, why, and what would help."""
        counts = np.bincount(self.labels, minlength=len(classes))
        rarest = missing[np.argmin(counts[missing])]
        name, count = classes[rarest], counts[rarest]
        others = f", nor of {len(missing) - 1:,} more," if len(missing) > 1 else ""
        images = f"{count:,} training image{'' if count == 1 else 's'}"
        if part == "validation":
            cause = _cause(self.val_fraction, self.fold, self.division)
        else:
            cause = f"train_images: {self.train_images or 'all'}"
        return (
            f"too few images for {part}: class {name} has {images}, and {cause} leaves none of it{others} "
            f"for {part}. Add images of {name}, leave the class out{self._setting(part, len(classes))}"
        )

    def _setting(self, part: str, classes: int) -> str:
        """Return a change of the settings that helps; empty if there is none."""
        if self.division.kind == "order" and part == "training":
            return ", or use a smaller val_fraction"
        if part == "training":
            complete = len(np.unique(self.labels[self.rest])) == classes
            fewest = _until_every_class(self.labels[self.rest])
            return f", or use train_images: {fewest} or more" if complete and self.train_images else ""
        if self.fold.count:
            return ", or use fewer folds"
        if self.division.kind != "drawn":
            return ", or use another val_fraction"
        share = math.ceil(100 * _until_every_class(self.labels[self.order]) / len(self.order)) / 100
        _, rest = _apart(self.order, share, Fold())
        complete = len(np.unique(self.labels[rest[: self.train_images]])) == classes
        return f", or use val_fraction: {share:g}" if complete and share <= _MOST_HELD_OUT else ""


def _stratified_order(labels: Labels, key: Key) -> Labels:
    """Return all indices in an order in which every range has the classes in proportion.

    The r-th of a class's n shuffled images gets the sort key (r + 1/2) / n (the Sainte-Laguë method of
    allocating seats, under which no class loses a seat when there are more of them).
    """
    position = np.empty(len(labels))
    by_class = np.argsort(labels, kind="stable")
    for c, members in enumerate(np.split(by_class, np.cumsum(np.bincount(labels))[:-1])):
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


def split_key(seed: Key) -> Key:
    """Return the key of a study's split, which all trials share."""
    return seed / "split"
