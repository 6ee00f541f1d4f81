"""Which images validate or test where classes do not decide alone: a given split, groups, the latest."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpo.data.image_keys import Blocks, Labels
from hpo.errors import DataError
from hpo.rng import Key
from hpo.text import counted

Counts = npt.NDArray[np.float64]

_MOST_CELLS = 20_000_000
"""Groups times classes; more groups are as good as single images."""
_MOST_SWAPS = 500_000
_MOST_STEPS = 200
_ALMOST_ALL = 0.9
_NONE = 1e-9
_MOST_HELD_OUT = 0.5
"""The limit of ``val_fraction``."""


@dataclass(frozen=True)
class KnownGroups:
    """The groups of all images, whether they are kept together or not."""

    rule: str
    """The value of ``groups`` in a study file by which they are."""
    train: Blocks
    """Of the training images, given validation images included."""
    test: Blocks


@dataclass(frozen=True)
class Division:
    """How the training images of a data set are to be divided, besides by class."""

    given: int = 0
    """The last images are the validation split that they came with."""
    blocks: Blocks | None = None
    """Of the training images; without effect on which validate if that is given."""
    known: KnownGroups | None = None
    """By which leaks between the splits are told; without effect on the division."""

    @property
    def kind(self) -> str:
        """What decides which images validate: drawn, given, groups or order."""
        if self.given:
            return "given"
        if self.blocks is None:
            return "drawn"
        return "order" if self.blocks.ordered else "groups"

    def signed(self, fingerprint: str) -> str:
        """Return the fingerprint of images that are divided so; their own if nothing was said about it."""
        if not self.given and self.blocks is None:
            return fingerprint
        digest = hashlib.sha256(f"{fingerprint} {self.given}".encode())
        if self.blocks is not None:
            digest.update(self.blocks.numbers.astype("<i8").tobytes() + bytes([self.blocks.ordered]))
        return digest.hexdigest()


DRAWN = Division()


@dataclass(frozen=True)
class Wanted:
    """A share of the images, and how it is set."""

    share: float
    what: str
    """For messages, such as ``val_fraction: 0.1``."""
    furthest: float = 2.0
    """A share that is further off than by this factor is not what was asked for."""

    @property
    def without(self) -> str:
        """What helps where a class would be missing."""
        if self.what.startswith("val_fraction"):
            return "Use another val_fraction, smaller groups"
        return "Use fewer folds, smaller groups" if self.what.startswith("folds") else "Bring test images"

    def advice(self, reached: float) -> str:
        """Return what helps where only another share is possible."""
        if self.what.startswith("val_fraction") and 0 < reached <= _MOST_HELD_OUT:
            return f"Use val_fraction: {reached:.2g}, or smaller groups"
        if self.what.startswith("folds"):
            return "Use fewer folds, or smaller groups"
        return "Use smaller groups, or bring a split of your own"


def latest_blocks(blocks: Blocks, wanted: Wanted) -> npt.NDArray[np.bool_]:
    """Return which images (N,) are the latest ``wanted.share``: as many last blocks as come closest to it.

    Raises ``DataError`` if all are of one time, or if whole blocks do not come near the share.
    """
    numbers = blocks.numbers
    present, sizes = np.unique(numbers, return_counts=True)
    if len(present) < 2:
        raise DataError(f"order: every image has {blocks.names[present[0]]!r}, so none is later than others")
    from_end = np.cumsum(sizes[::-1])[:-1]  # at least one block stays
    last = int(np.argmin(np.abs(from_end - wanted.share * len(numbers)))) + 1
    held: npt.NDArray[np.bool_] = np.isin(numbers, present[-last:])
    _refuse_far("order", held, wanted, blocks)
    return held


def chosen_blocks(
    labels: Labels, classes: Sequence[str], blocks: Blocks, wanted: Wanted, key: Key
) -> npt.NDArray[np.bool_]:
    """Return which images (N,) are in the blocks that together come closest to the share of each class.

    Raises ``DataError`` if the groups do not allow a share near that, or leave a part without a class.
    """
    numbers = blocks.numbers
    present, place, sizes = np.unique(numbers, return_inverse=True, return_counts=True)
    largest = int(sizes.argmax())
    name = blocks.names[present[largest]]
    if len(present) < 2:
        raise DataError(f"groups: every image is in the group {name!r}; two or more are needed")
    if len(present) == len(numbers):
        raise DataError(
            f"groups: each of {counted(len(numbers), 'image')} is a group of its own, which has no effect"
        )
    if sizes[largest] >= _ALMOST_ALL * len(numbers):
        raise DataError(
            f"groups: the group {name!r} has {sizes[largest]:,} of {counted(len(numbers), 'image')}: "
            f"no part of the others can stand for it"
        )
    chosen = _closest(_table(labels, place, len(classes), len(present)), wanted.share, key)
    held: npt.NDArray[np.bool_] = chosen[place]
    _refuse_far("groups", held, wanted, blocks)
    _refuse_missing(labels, classes, blocks, held, wanted)
    return held


def block_folds(labels: Labels, classes: Sequence[str], blocks: Blocks, count: int, key: Key) -> Labels:
    """Return the fold (N,) of each image: whole blocks, each fold with about the same share of each class."""
    fold = np.full(len(labels), count - 1, dtype=np.int64)
    rest = np.arange(len(labels))
    for number in range(count - 1):
        wanted = Wanted(1 / (count - number), f"folds: {count}")
        held = chosen_blocks(labels[rest], classes, blocks.of(rest), wanted, key / number)
        fold[rest[held]] = number
        rest = rest[~held]
    return fold


def _table(labels: Labels, place: Labels, classes: int, blocks: int) -> Counts:
    """Return how many images of each class each block has (C, B); of very many blocks only their sizes."""
    if classes * blocks > _MOST_CELLS:
        return np.bincount(place, minlength=blocks)[None].astype(np.float64)
    flat = np.bincount(labels * blocks + place, minlength=classes * blocks)
    return flat.reshape(classes, blocks).astype(np.float64)


def _closest(table: Counts, share: float, key: Key) -> npt.NDArray[np.bool_]:
    """Return which blocks (B,) hold about ``share`` of each class: the largest first, then improved.

    Sums are made row by row, as every machine makes them: workers must choose the same.
    """
    total = table.sum(1, keepdims=True)
    weighted = np.concatenate([table, table.sum(0, keepdims=True)])  # the number of images counts, too
    weighted /= np.maximum(np.concatenate([total, total.sum(0, keepdims=True)]), 1)
    order = key.numpy().permutation(table.shape[1])
    order = order[np.argsort(-table.sum(0)[order], kind="stable")]
    chosen = np.zeros(table.shape[1], dtype=bool)
    lack = np.full((len(weighted), 1), share) * (weighted.sum(1, keepdims=True) > 0)
    for block in order.tolist():
        column = weighted[:, block : block + 1]
        if _cost(lack - column, share)[0] < _cost(lack, share)[0]:
            chosen[block] = True
            lack = lack - column
    if not chosen.any():
        smallest = int(order[-1])
        chosen[smallest] = True
        lack = lack - weighted[:, smallest : smallest + 1]
    return _improved(weighted, chosen, lack, share)


def _improved(
    weighted: Counts, chosen: npt.NDArray[np.bool_], lack: Counts, share: float
) -> npt.NDArray[np.bool_]:
    """Move and exchange blocks as long as that brings the shares closer."""
    for _ in range(_MOST_STEPS):
        now = _cost(lack, share)[0]
        change = np.where(chosen, weighted, -weighted)
        moved = _cost(lack + change, share)
        best, blocks = moved.min(), [int(moved.argmin())]
        inside, outside = np.flatnonzero(chosen), np.flatnonzero(~chosen)
        if len(inside) * len(outside) * len(weighted) <= _MOST_SWAPS:
            pairs = lack[:, :, None] + change[:, inside, None] + change[:, None, outside]
            swapped = _cost(pairs, share)
            if swapped.size and swapped.min() < best:
                best = swapped.min()
                one, other = np.unravel_index(int(swapped.argmin()), swapped.shape)
                blocks = [int(inside[one]), int(outside[other])]
        after = chosen.copy()
        after[blocks] ^= True
        if best >= now * (1 - 1e-9) or not after.any() or after.all():
            break
        lack = lack + change[:, blocks].sum(1, keepdims=True)
        chosen = after
    return chosen


def _cost(lack: Counts, share: float) -> Counts:
    """Return how far shares (C + 1, ...) are off: squared, and 1 for each class that a part would lack."""
    held = share - lack[:-1]
    squares: Counts = np.add.reduce(lack * lack, axis=0)
    without = np.count_nonzero((held < _NONE) | (held > 1 - _NONE), axis=0)
    cost: Counts = squares + without
    return cost


def _refuse_far(key: str, held: npt.NDArray[np.bool_], wanted: Wanted, blocks: Blocks) -> None:
    reached = float(held.mean())
    if wanted.share / wanted.furthest <= reached <= min(wanted.share * wanted.furthest, _ALMOST_ALL):
        return
    names, sizes = np.unique(blocks.numbers, return_counts=True)
    largest = int(sizes.argmax())
    kind = counted(len(names), "group" if key == "groups" else "different value")
    raise DataError(
        f"{key}: {wanted.what} cannot be had of {kind}: whole ones come no closer than {reached:.0%} of the "
        f"images (the largest, {blocks.names[names[largest]]!r}, has {sizes[largest] / sizes.sum():.0%}). "
        f"{wanted.advice(reached)}"
    )


def _refuse_missing(
    labels: Labels, classes: Sequence[str], blocks: Blocks, held: npt.NDArray[np.bool_], wanted: Wanted
) -> None:
    for part, rows in (("held out", held), ("left for training", ~held)):
        counts = np.bincount(labels[rows], minlength=len(classes))
        for label in np.flatnonzero(counts == 0).tolist():
            where = np.unique(blocks.numbers[labels == label])
            if not len(where):
                continue
            names = ", ".join(repr(blocks.names[each]) for each in where[:3].tolist())
            more = f" and {len(where) - 3:,} more" if len(where) > 3 else ""
            raise DataError(
                f"groups: with {wanted.what}, no image of class {classes[label]} is {part}: it is in "
                f"{counted(len(where), 'group')} ({names}{more}). {wanted.without}, or leave the class out"
            )
