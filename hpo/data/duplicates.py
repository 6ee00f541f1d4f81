"""Images that occur twice, exactly or nearly, within a split and across splits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import combinations
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from hpo.data.cache import Bytes

Split: TypeAlias = Literal["train", "validation", "test"]
_SIDE = 8
_BANDS = 4
_PLANES = 64
"""Random directions on whose sides images lie; a quarter of them is compared at once."""
_COSINE = 0.985
"""Of two nearly equal images at 8 x 8 without their means."""
_LEVELS = 12.0
"""Mean difference of their pixels, of 255, at 8 x 8."""
_LOOK = 6.0
"""Standard deviation below which an image is too plain to be told from others."""
_DETAIL = 4.0
"""The same without an even slope of light: at 4, CIFAR-10's pairs stay, and drawn plates have none."""
_PLAIN = 2.0
"""Standard deviation below which equal images are no news: blank pages, black frames."""
_CROWD = 50
"""Images on the same sides of the planes; more of them are alike by nature."""


@dataclass(frozen=True)
class SeenImage:
    """An image of a data set: its split, its class, and its file or number."""

    split: Split
    label: str
    name: str


@dataclass(frozen=True)
class Pair:
    """Two images that are equal, or nearly."""

    first: SeenImage
    second: SeenImage
    exact: bool

    @property
    def splits(self) -> frozenset[Split]:
        """The splits that they are in."""
        return frozenset((self.first.split, self.second.split))

    @property
    def leaks(self) -> bool:
        """Whether they are in two splits."""
        return self.first.split != self.second.split

    @property
    def contradicts(self) -> bool:
        """Whether their classes differ."""
        return self.first.label != self.second.label


@dataclass
class Duplicates:
    """Collects images chunk by chunk; ``pairs`` then compares them.

    Each image is kept as a digest of its pixels and its gray values at 8 x 8. Nearly equal ones are found
    among those on the same sides of 16 random planes (Charikar 2002), in one of four draws.
    """

    images: list[SeenImage] = field(default_factory=list)
    _digests: list[bytes] = field(default_factory=list)
    _small: list[npt.NDArray[np.uint8]] = field(default_factory=list)

    def add(self, pixels: Bytes, images: list[SeenImage]) -> None:
        """Add a chunk of images (n, C, H, W)."""
        gray = pixels.mean(1, dtype=np.float32)
        self._small.append(_resampled(gray, _SIDE, _SIDE).round().astype(np.uint8))
        self._digests += [blake2b(each.tobytes(), digest_size=16).digest() for each in pixels]
        self.images += images

    def pairs(self, *, nearly: bool = True) -> Iterator[Pair]:
        """Yield each image with the first one that it equals; then, if ``nearly``, those nearly equal."""
        if not self.images:
            return
        first: dict[bytes, int] = {}
        copies = set()
        small = np.concatenate(self._small)
        plain = small.reshape(len(small), -1).std(1) < _PLAIN
        for place, digest in enumerate(self._digests):
            if plain[place]:
                continue
            at = first.setdefault(digest, place)
            if at != place:
                copies.add(place)
                yield Pair(self.images[at], self.images[place], exact=True)
        if nearly:
            yield from self._near(small.reshape(len(small), -1), copies)

    def _near(self, small: npt.NDArray[np.uint8], copies: set[int]) -> Iterator[Pair]:
        centered = small - small.mean(1, keepdims=True, dtype=np.float32)
        length = np.sqrt((centered**2).sum(1, keepdims=True))
        directions = centered / np.maximum(length, 1e-6)
        details = centered @ _WITHOUT_SLOPE
        planes = np.random.default_rng(0).standard_normal((directions.shape[1], _PLANES))
        sides = np.packbits(directions @ planes > 0, axis=1)
        shown = (small.std(1) >= _LOOK) & (details.std(1) >= _DETAIL)
        telling = [place for place in np.flatnonzero(shown).tolist() if place not in copies]
        found: set[tuple[int, int]] = set()
        for band in np.split(sides, _BANDS, axis=1):
            groups = defaultdict(list)
            for place in telling:
                groups[band[place].tobytes()].append(place)
            for members in groups.values():
                if len(members) <= _CROWD:
                    found.update(combinations(members, 2))
        for one, other in sorted(found):
            levels = np.abs(small[one].astype(np.int16) - small[other]).mean()
            if levels <= _LEVELS and directions[one] @ directions[other] >= _COSINE:
                yield Pair(self.images[one], self.images[other], exact=False)


def _without_slope() -> npt.NDArray[np.float32]:
    """Return the projection (64, 64) that takes away an image's mean and its even slope in x and y."""
    ramp = np.linspace(-1, 1, _SIDE)
    planes = np.stack([np.ones((_SIDE, _SIDE)), *np.meshgrid(ramp, ramp)]).reshape(3, -1)
    planes /= np.linalg.norm(planes, axis=1, keepdims=True)
    kept: npt.NDArray[np.float32] = (np.eye(_SIDE**2) - planes.T @ planes).astype(np.float32)
    return kept


_WITHOUT_SLOPE = _without_slope()
"""Lit from one side, or a sky: unlike images share that."""


def _resampled(gray: npt.NDArray[np.float32], height: int, width: int) -> npt.NDArray[np.float32]:
    """Return means over a grid of height x width cells; of smaller images, the nearest pixels."""
    rows, columns = _cells(gray.shape[1], height), _cells(gray.shape[2], width)
    found: npt.NDArray[np.float32] = np.einsum("ih,nhw,jw->nij", rows, gray, columns, optimize=True)
    return found


def _cells(length: int, cells: int) -> npt.NDArray[np.float32]:
    """Return the weights (cells, length) by which each cell averages the pixels of its range."""
    edges = np.arange(cells + 1) * length / cells
    pixels = np.arange(length)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    weights = overlap.clip(0)
    shares: npt.NDArray[np.float32] = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    return shares
