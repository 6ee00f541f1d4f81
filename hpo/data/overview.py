"""What a study would see of a data set: classes, sizes, what cannot be used, duplicates, samples."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np

from hpo.config.image_format import ImageFormat
from hpo.data.cache import Bytes, Decoded, DecodedSplit, Labels
from hpo.data.duplicates import Duplicates, Pair, SeenImage, Split
from hpo.data.folder import ImageFile, Listing
from hpo.data.images import decode_images, open_image, silent_pillow
from hpo.data.progress import progress_bar
from hpo.data.survey import Survey
from hpo.files import path_text
from hpo.limits import available_cores

IMBALANCED = 3.0
"""Times as many images in the largest class as in the smallest, from which accuracy hides the rare ones."""
SAMPLES = 8
"""Images of each class that are kept for a contact sheet."""
_CHUNK = 512


@dataclass
class Overview:
    """What was found."""

    classes: tuple[str, ...]
    format: ImageFormat
    counts: dict[Split, Counter[str]] = field(
        default_factory=lambda: {"train": Counter(), "validation": Counter(), "test": Counter()}
    )
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    """Width and height, upright."""
    modes: Counter[str] = field(default_factory=Counter)
    """File format and Pillow's mode, such as ``JPEG RGB``; empty for arrays."""
    unusable: list[tuple[str, str]] = field(default_factory=list)
    """Files that cannot be used, and why."""
    remarks: tuple[str, ...] = ()
    samples: dict[str, list[Bytes]] = field(default_factory=dict)
    pairs: list[Pair] = field(default_factory=list)

    @property
    def imbalance(self) -> float:
        """Images of the largest class over those of the smallest, in training."""
        return imbalance([self.counts["train"][name] for name in self.classes])

    @property
    def constant_accuracy(self) -> float:
        """The accuracy of always naming the largest class."""
        counts = self.counts["train"]
        return max(counts.values(), default=0) / max(1, counts.total())

    @property
    def short_sides(self) -> tuple[int, int, int]:
        """The smallest, the median and the largest short side, in pixels."""
        sides = sorted(min(size) for size in self.sizes.elements())
        return sides[0], int(median(sides)), sides[-1]


def imbalance(counts: Sequence[int]) -> float:
    """Return the images of the largest class over those of the smallest; infinite if it has none."""
    return max(counts) / min(counts) if min(counts, default=0) else math.inf


class _Reader:
    def __init__(self, overview: Overview) -> None:
        self._overview = overview
        self._duplicates = Duplicates()

    def add(self, pixels: Bytes, images: Sequence[SeenImage]) -> None:
        overview = self._overview
        self._duplicates.add(pixels, list(images))
        for each, image in zip(pixels, images, strict=True):
            overview.counts[image.split][image.label] += 1
            kept = overview.samples.setdefault(image.label, [])
            if len(kept) < SAMPLES and image.split == "train":
                kept.append(each.copy())

    def finish(self) -> Overview:
        self._overview.pairs = list(self._duplicates.pairs())
        return self._overview


def overview_of_files(root: Path, listing: Listing, form: ImageFormat) -> Overview:
    """Read all listed image files in a format; what cannot be used is noted, not raised."""
    overview = Overview(listing.classes, form)
    reader, remarks = _Reader(overview), Survey()
    total = len(listing.train) + len(listing.test)
    with (
        progress_bar(f"reading images of {path_text(root)} ({total:,})", total) as advance,
        silent_pillow(),
        ThreadPoolExecutor(available_cores()) as pool,
    ):
        for split, files in _splits(listing):
            for start in range(0, len(files), _CHUNK):
                chunk = files[start : start + _CHUNK]
                paths = [Path(each.path) for each in chunk]
                overview.modes.update(mode for mode in pool.map(_mode, paths) if mode)
                usable = []
                for file, image in zip(chunk, decode_images(paths, pool, form), strict=True):
                    if isinstance(image, str):
                        overview.unusable.append((file.path, image))
                        continue
                    overview.sizes[image.size] += 1
                    remarks.add(file.path, image.remarks)
                    usable.append((image.pixels, SeenImage(split, file.class_name, file.path)))
                if usable:
                    reader.add(np.stack([pixels for pixels, _ in usable]), [image for _, image in usable])
                advance(len(chunk))
    overview.remarks = tuple(remarks.sentences())
    return reader.finish()


def overview_of_arrays(
    classes: tuple[str, ...],
    decode: Callable[[], Decoded],
    native: ImageFormat,
    form: ImageFormat,
    given: int = 0,
) -> Overview:
    """Read a data set that is decoded to one format, ``form``, from images of the format ``native``.

    The last ``given`` training images are a validation split.
    """
    overview = Overview(classes, form)
    reader, decoded = _Reader(overview), decode()
    for split, part in _parts(decoded):
        number = 0
        for pixels in part.chunks:
            labels = part.labels[number : number + len(pixels)]
            first_given = len(part.labels) - given if split == "train" else len(part.labels)
            reader.add(pixels, _numbered(split, classes, labels, number, first_given))
            number += len(pixels)
        overview.sizes[native.width, native.height] += number
    overview.remarks = decoded.warnings()
    return reader.finish()


def _parts(decoded: Decoded) -> Iterator[tuple[Split, DecodedSplit]]:
    yield "train", decoded.train
    yield "test", decoded.test


def _numbered(
    split: Split, classes: Sequence[str], labels: Labels, start: int, first_given: int
) -> list[SeenImage]:
    return [
        SeenImage("validation", classes[label], f"validation image {number - first_given}")
        if number >= first_given
        else SeenImage(split, classes[label], f"{split} image {number}")
        for number, label in enumerate(labels.tolist(), start)
    ]


def _splits(listing: Listing) -> Iterator[tuple[Split, list[ImageFile]]]:
    trained = len(listing.train) - listing.division.given
    yield "train", listing.train[:trained]
    yield "validation", listing.train[trained:]
    yield "test", listing.test


def _mode(path: Path) -> str:
    try:
        with open_image(path) as image:
            return f"{image.format} {image.mode}"
    except Exception:  # decoding names it, with the reason
        return ""
