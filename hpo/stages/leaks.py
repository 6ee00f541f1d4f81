"""Images and groups that are in two splits of a study: what is remembered there counts as learned."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hpo.config.datasets import OF_FILES
from hpo.config.study import StudySpec
from hpo.data.cache import Bytes, Labels
from hpo.data.division import KnownGroups
from hpo.data.duplicates import Duplicates, Pair, SeenImage, Split
from hpo.data.split import split, split_key
from hpo.files import path_text
from hpo.records import StudyFinding
from hpo.rng import Key
from hpo.text import counted, listed

if TYPE_CHECKING:
    from hpo.data.datasets import Dataset

MOST_COMPARED = 2_000_000_000
"""Bytes of pixels; of more, evenly spaced training images are compared."""
MOST_NEARLY = 30_000
"""Images; among more, only equal ones are looked for."""
_SMALLEST_NEARLY = 16
"""Pixels of a side, below which different pictures of one thing are nearly equal by nature."""
_FEWEST_GROUPS = 5
"""Fewer folders within classes are more likely kinds than patients or scenes."""
_FEWEST_NEARLY, _TOLD = 3, 0.002
"""Images of a split, and their share, from which nearly equal ones are told: a few look alike by chance."""
_MANY_NEARLY, _WARNED = 5, 0.01
"""From which they are a warning."""
_CORRELATED = 0.9
_DRAWN = 0.5
"""Share of background, above which strokes of one symbol are nearly equal by nature."""
_AT_ONCE = 1000
_NAMES: dict[Split, str] = {"train": "training", "validation": "validation", "test": "test"}
_Images = tuple[Bytes, Labels, Labels]
"""The images of a split: all images of an array, their labels, and the rows."""


def leak_findings(spec: StudySpec, dataset: Dataset, name: Callable[[Split, int], str]) -> list[StudyFinding]:
    """Return what two splits share, of images of the user's own; data sets by name are as published.

    ``name`` gives the file of an image of a split by its row, in training or in test.
    """
    if dataset.name not in OF_FILES and ":" not in dataset.name:
        return []
    fraction = spec.image_configuration({}).val_fraction
    key = split_key(Key(spec.seed))
    parts = split(dataset.train_labels, dataset.classes, fraction, None, key, division=dataset.division)
    tested = np.arange(len(dataset.test_labels))
    images: dict[Split, _Images] = {
        "train": (dataset.train_images, dataset.train_labels, parts.train),
        "validation": (dataset.train_images, dataset.train_labels, parts.val),
        "test": (dataset.test_images, dataset.test_labels, tested),
    }
    found = list(_shared_images(images, dataset.classes, name))
    known = dataset.division.known
    if known is not None:
        rows = {"train": parts.train, "validation": parts.val}
        numbers: dict[Split, Labels] = {
            "train": known.train.numbers[rows["train"]],
            "validation": known.train.numbers[rows["validation"]],
            "test": known.test.numbers,
        }
        found += _shared_groups(spec, known, numbers)
    return found


def _shared_images(
    images: dict[Split, _Images], classes: Sequence[str], name: Callable[[Split, int], str]
) -> Iterator[StudyFinding]:
    images = _bounded(images)
    seen = Duplicates()
    pixels: list[tuple[Bytes, int]] = []
    for split_name, (array, labels, rows) in images.items():
        for start in range(0, len(rows), _AT_ONCE):
            chunk = rows[start : start + _AT_ONCE]
            named = [
                SeenImage(split_name, classes[labels[row]], str(len(pixels) + place))
                for place, row in enumerate(chunk.tolist())
            ]
            seen.add(array[chunk], named)
            pixels += [(array, row) for row in chunk.tolist()]
    side = min(images["train"][0].shape[2:])
    nearly = len(pixels) <= MOST_NEARLY and side >= _SMALLEST_NEARLY
    leaks = [each for each in seen.pairs(nearly=nearly) if each.leaks and _is_same(each, pixels)]
    compared = {kind: len(rows) for kind, (_, _, rows) in images.items()}

    def shown(image: SeenImage) -> str:
        return path_text(name(image.split, pixels[int(image.name)][1]))

    for one, other in combinations(_NAMES, 2):
        for exact in (True, False):
            pairs = [each for each in leaks if each.exact == exact and each.splits == {one, other}]
            copies = {each.second if each.second.split == other else each.first for each in pairs}
            if (exact and copies) or len(copies) >= max(_FEWEST_NEARLY, _TOLD * compared[other]):
                yield _finding(one, other, pairs, len(copies), compared, nearly, shown)


def _bounded(images: dict[Split, _Images]) -> dict[Split, _Images]:
    """Return the images with evenly spaced training images, where all would be too many to read."""
    array, labels, rows = images["train"]
    size = int(np.prod(array.shape[1:]))
    others = sum(len(each[2]) for kind, each in images.items() if kind != "train")
    most = max(_AT_ONCE, MOST_COMPARED // size - others)
    return {**images, "train": (array, labels, rows[:: -(-len(rows) // most) or 1])}


def _is_same(pair: Pair, pixels: Sequence[tuple[Bytes, int]]) -> bool:
    """Return whether nearly equal images are so pixel by pixel: strokes and shapes alike are not."""
    if pair.exact:
        return True
    one, other = (_gray(*pixels[int(each.name)]) for each in (pair.first, pair.second))
    if _background(one) > _DRAWN or _background(other) > _DRAWN:
        return False
    return bool(np.corrcoef(one, other)[0, 1] >= _CORRELATED)


def _background(gray: npt.NDArray[np.float64]) -> float:
    """Return the share of the pixels that have about the most frequent gray."""
    counts = np.bincount((gray / 8).astype(np.int64), minlength=32)
    return float((counts[1:] + counts[:-1]).max() / len(gray))


def _gray(array: Bytes, row: int) -> npt.NDArray[np.float64]:
    gray: npt.NDArray[np.float64] = array[row].mean(0, dtype=np.float64).reshape(-1)
    return gray


def _finding(
    one: Split,
    other: Split,
    pairs: Sequence[Pair],
    copies: int,
    compared: Mapping[Split, int],
    nearly: bool,
    name: Callable[[SeenImage], str],
) -> StudyFinding:
    exact = pairs[0].exact
    many = copies >= max(_MANY_NEARLY, _WARNED * compared[other])
    what = ("is", "are")[copies > 1] + (" also" if exact else " nearly equal to others")
    first, second = sorted((pairs[0].first, pairs[0].second), key=lambda each: each.split == other)
    return StudyFinding(
        check="leak",
        severity="warn" if exact or many else "note",
        message=f"{copies:,} of {counted(compared[other], f'{_NAMES[other]} image')} {what} among those of "
        f"{_NAMES[one]}, such as {name(second)} (in {_NAMES[one]}: "
        f"{name(first)}): a network that remembers them looks better than it is",
        evidence={
            "splits": [one, other],
            "exact": exact,
            "images": copies,
            "pairs": [[name(each.first), name(each.second)] for each in pairs[:10]],
            "compared": compared,
            "looked_for_nearly_equal": nearly,
        },
        remedy="remove the copies (hpo data lists them), or keep them in one split with groups:",
    )


def _shared_groups(
    spec: StudySpec, known: KnownGroups, numbers: dict[Split, Labels]
) -> Iterator[StudyFinding]:
    groups = {split_name: set(each.tolist()) for split_name, each in numbers.items()}
    total = len(set().union(*groups.values()))
    shared = sorted(set().union(*(groups[one] & groups[other] for one, other in combinations(_NAMES, 2))))
    if not shared or (spec.groups is None and total < _FEWEST_GROUPS):
        return
    names = listed([repr(known.train.names[each]) for each in shared])
    message = (
        f"{len(shared):,} of {counted(total, 'group')} (groups: {known.rule}) have images in several of "
        f"training, validation and test: {names}"
    )
    evidence = {
        "rule": known.rule,
        "groups": len(shared),
        "of": total,
        "splits": [[*pair] for pair in combinations(_NAMES, 2) if groups[pair[0]] & groups[pair[1]]],
    }
    if spec.groups is not None:
        remedy = "the images came divided so: put each group into one split"
        yield StudyFinding("leak", "warn", message, evidence, remedy)
        return
    message += (
        ". If the images of a group are alike, such as those of one patient or scene, their values are too "
        "good for new ones"
    )
    change = {"groups": known.rule}
    yield StudyFinding("leak", "note", message, evidence, f"groups: {known.rule}", change)
