"""A test split where the images come without one: a share of each class, the same ones each time."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from hpo.data.cache import Labels
from hpo.errors import DataError

TEST_SHARE = 0.1


def held_out_count(count: int) -> int:
    """Return how many of a class's images are held out for test: at least one."""
    return max(1, round(TEST_SHARE * count))


def held_out_rows(labels: Labels, classes: Sequence[str]) -> tuple[Labels, Labels]:
    """Return the rows (int64) that are kept, and those held out for test, both sorted.

    Of each class those with the lowest hashes of their row. Raises ``DataError`` for a class of one image.
    """
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


def _hash(row: int) -> bytes:
    return hashlib.sha256(str(row).encode()).digest()
