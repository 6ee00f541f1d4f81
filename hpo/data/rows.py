"""Some images of a tensor, read in chunks: statistics of training images need no copy of them all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from hpo.data.file_rows import FileRows, read_rows


@dataclass(frozen=True)
class Rows:
    """The images of ``pixels`` (N, C, H, W) at the places ``rows`` (n,) int64, in that order."""

    pixels: Tensor
    rows: Tensor
    file: FileRows | None = None
    """Reads ``pixels``."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """n, C, H and W."""
        return (len(self.rows), *self.pixels.shape[1:])

    @property
    def device(self) -> torch.device:
        """The device of the images."""
        return self.pixels.device

    def split(self, count: int) -> Iterator[Tensor]:
        """Yield copies of the images, ``count`` at a time; the last may be fewer."""
        for rows in self.rows.split(count):
            yield read_rows(self.pixels, rows, self.file)


Images: TypeAlias = Tensor | Rows
"""Images (N, C, H, W) uint8."""
