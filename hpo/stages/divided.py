"""Which images of a study validate where ``val_fraction`` alone does not say it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hpo.config.study import StudySpec
from hpo.data.cache import Labels
from hpo.data.division import Division
from hpo.data.split import split, split_key
from hpo.files import path_text
from hpo.rng import Key
from hpo.text import counted


class TrainingLabels(Protocol):
    """The part of a data set that decides whether a study fits it."""

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def train_labels(self) -> Labels: ...

    @property
    def division(self) -> Division: ...


@dataclass(frozen=True)
class DividedImages:
    """How many validation images each class has, and what they are, in words."""

    class_counts: tuple[int, ...]
    note: str


def divided_images(spec: StudySpec, dataset: TrainingLabels) -> DividedImages | None:
    """Return a study's validation images; None if they are drawn. Raises ``DataError`` as ``split`` does."""
    division = dataset.division
    if division.kind == "drawn":
        return None
    fraction = spec.image_configuration({}).val_fraction
    key = split_key(Key(spec.seed))
    parts = split(dataset.train_labels, dataset.classes, fraction, None, key, division=division)
    held = np.bincount(dataset.train_labels[parts.val], minlength=len(dataset.classes))
    count = f"{len(parts.val):,} of {counted(len(dataset.train_labels), 'image')}"
    note = f"validation: {count}"
    blocks = division.blocks
    if division.kind == "given":
        note += ", its own split"
    elif blocks is not None:
        note += f" ({len(parts.val) / len(dataset.train_labels):.1%} for val_fraction: {fraction:g})"
        val, train = np.unique(blocks.numbers[parts.val]), np.unique(blocks.numbers[parts.train])
        if blocks.ordered:
            first, last, latest = (path_text(blocks.names[each]) for each in (val[0], val[-1], train[-1]))
            note += f", the latest: {first} to {last}, after {latest}"
        else:
            note += f", {len(val):,} of {counted(len(val) + len(train), 'group')}"
    return DividedImages(tuple(held.tolist()), note)


def no_fraction(division: Division) -> str:
    """Return why ``val_fraction`` has no effect, or must be the same for all trials."""
    if division.kind == "given":
        return (
            "the images come with a validation split (with validation: drawn it is not used, and a share of "
            "the training images is)"
        )
    return f"{division.kind} would give each trial other validation images"


def division_warnings(spec: StudySpec, dataset: TrainingLabels) -> list[str]:
    """Return which settings have no effect because the images come with a validation split."""
    division = dataset.division
    found = []
    if division.kind == "given" and "val_fraction" in spec.fixed:
        found.append(f"val_fraction has no effect: {no_fraction(division)}")
    if division.kind == "given" and (spec.groups or spec.order):
        key = "groups" if spec.groups else "order"
        found.append(f"{key} has no effect on validation: {no_fraction(division)}")
    return found
