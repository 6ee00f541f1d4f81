"""Keeps the pages of a large memory-mapped file from counting as this process's memory."""

from __future__ import annotations

import mmap
from typing import Any

import numpy.typing as npt

LARGE = 400_000_000
"""Bytes: smaller files stay mapped as a whole, such as CIFAR-10's."""
_READ_BETWEEN = 64_000_000
"""Bytes; around images of 64 pixels in random order, the kernel maps up to five times as much."""
_DROP = getattr(mmap, "MADV_DONTNEED", None)


class MappedPages:
    """The mapped pages of an array. They are shared with other processes, and the kernel can drop them.

    Still they count as resident memory of each process that has read them, and 100,000 images of 64 pixels
    are 1.2 GB. So they are unmapped now and then: the file stays in the kernel's cache, and mapping a page
    again costs about a microsecond.
    """

    def __init__(self, array: npt.NDArray[Any]) -> None:
        self._map = getattr(array, "_mmap", None) if array.nbytes > LARGE and _DROP is not None else None
        self._read = 0

    def count(self, size: int) -> None:
        """Count bytes that were read; unmap the pages if it were many since the last time."""
        if self._map is None:
            return
        self._read += size
        if self._read >= _READ_BETWEEN:
            self._map.madvise(_DROP)
            self._read = 0
