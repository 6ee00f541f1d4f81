"""A test split where the images come without one: a share of each class, the same ones each time."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from hpo.data.division import Wanted, chosen_blocks, latest_blocks
from hpo.data.image_keys import Blocks, Labels
from hpo.errors import DataError
from hpo.rng import Key

TEST_SHARE = 0.1


def held_out_count(count: int) -> int:
    """Return how many of a class's images are held out for test: at least one."""
    return max(1, round(TEST_SHARE * count))


def held_out_rows(
    labels: Labels, classes: Sequence[str], blocks: Blocks | None = None
) -> tuple[Labels, Labels]:
    """Return the rows (int64) that are kept, and those held out for test, both sorted.

    Of each class those with the lowest hashes of their row; with ``blocks``, whole ones. Raises ``DataError``
    for a class of one image.
    """
    if blocks is not None:
        return held_out_blocks(labels, classes, blocks)
    held: list[int] = []
    for label, name in enumerate(classes):
        rows = np.flatnonzero(labels == label).tolist()
        if len(rows) == 1:
            raise DataError(
                f"class {name} has only one image; at least two are needed to hold one out for test"
            )
        held += sorted(rows, key=_hash)[: held_out_count(len(rows))] if rows else []
    is_held = np.zeros(len(labels), dtype=bool)
    is_held[held] = True
    return np.flatnonzero(~is_held).astype(np.int64), np.flatnonzero(is_held).astype(np.int64)


def held_out_blocks(labels: Labels, classes: Sequence[str], blocks: Blocks) -> tuple[Labels, Labels]:
    """Return the rows (int64) that are kept, and those held out for test: whole groups, or the latest images.

    The groups are the same for every study. Raises ``DataError`` if no part of them can be held out.
    """
    wanted = Wanted(TEST_SHARE, "a tenth of the images for test", _WIDE)
    if blocks.ordered:
        held = latest_blocks(blocks, wanted)
    else:
        held = chosen_blocks(labels, classes, blocks, wanted, Key(0) / "test")
    return np.flatnonzero(~held).astype(np.int64), np.flatnonzero(held).astype(np.int64)


def held_out_text(held: int, count: int, blocks: Blocks | None) -> str:
    """Return what was held out for test, in words."""
    if blocks is None:
        return f"no test images, so {TEST_SHARE:.0%} of each class were held out"
    how = "the latest" if blocks.ordered else "whole groups"
    return f"no test images, so {how}, {held / count:.0%} of the images, were held out"


_WIDE = 5.0
"""Of few groups, one may be half of the images."""


def _hash(row: int) -> bytes:
    return hashlib.sha256(str(row).encode()).digest()
