"""A test split where the images come without one: a share of each class, the same ones each time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence, Sized

import numpy as np

from hpo.data.division import Wanted, chosen_blocks, latest_blocks
from hpo.data.image_keys import Blocks, Labels
from hpo.rng import Key
from hpo.text import listed

TEST_SHARE = 0.1
_SHOWN = 5  # classes named in one sentence


def held_out_count(count: int) -> int:
    """Return how many of a class's images are held out for test: one or more, but not its only one."""
    return max(1, round(TEST_SHARE * count)) if count > 1 else 0


def too_few_for_test(found: Mapping[str, Sized]) -> Iterator[str]:
    """Yield which classes have a single image, which is trained on."""
    names = [name for name, images in found.items() if len(images) == 1]
    if names:
        yield f"one image is not enough to hold one out for test: of {listed(names, _SHOWN)}"


def held_out_rows(
    labels: Labels, classes: Sequence[str], blocks: Blocks | None = None
) -> tuple[Labels, Labels]:
    """Return the rows (int64) that are kept, and those held out for test, both sorted.

    Of each class those with the lowest hashes of their row, not its only one; with ``blocks``, whole ones.
    """
    if blocks is not None:
        return held_out_blocks(labels, classes, blocks)
    held: list[int] = []
    for label in range(len(classes)):
        rows = np.flatnonzero(labels == label).tolist()
        held += sorted(rows, key=_hash)[: held_out_count(len(rows))]
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
        return f"no test images, so {TEST_SHARE:.0%} of each class was held out"
    how = "the latest" if blocks.ordered else "whole groups"
    return f"no test images, so {how}, {held / count:.0%} of the images, were held out"


_WIDE = 5.0
"""Of few groups, one may be half of the images."""


def _hash(row: int) -> bytes:
    return hashlib.sha256(str(row).encode()).digest()
