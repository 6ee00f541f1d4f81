"""Refuse studies that do not fit the data set, before anything is trained."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Protocol

import numpy as np

from hpo.config.configuration import Configuration
from hpo.config.image_format import Shape
from hpo.config.study import StageSpec, StudySpec
from hpo.data.cache import Labels
from hpo.data.matrices import refuse_large_matrices
from hpo.data.split import Fold, split, split_key
from hpo.errors import ConfigurationError, DataError
from hpo.rng import Key
from hpo.stages.store import stage_fixed
from hpo.text import counted


class TrainingLabels(Protocol):
    """The part of a data set that decides whether a study fits it."""

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def train_labels(self) -> Labels: ...


def refuse_impossible(spec: StudySpec, dataset: TrainingLabels) -> None:
    """Raise ``ConfigurationError`` if some trial of the study cannot split these images."""
    if not spec.stages:
        _refuse_splits(spec, {}, [Fold()], dataset)
    for stage in spec.stages:
        try:
            _refuse_stage(spec, stage, dataset)
        except ConfigurationError as error:
            raise ConfigurationError(f"stage {stage.name}: {error}") from error


def refuse_preprocessing(spec: StudySpec, shape: Shape) -> None:
    """Raise ``ConfigurationError`` if some trial's preprocessing needs too much memory for such images."""
    searched = spec.space.get("preprocessing")
    kinds = searched.extremes() if searched else [spec.image_configuration({}).preprocessing]
    for kind in kinds:
        refuse_large_matrices(kind, math.prod(shape))


def refuse_given(spec: StudySpec, given: Mapping[str, Any], class_counts: Sequence[int]) -> None:
    """Raise ``ConfigurationError`` if a trial with the given values does not fit the training images."""
    if not class_counts or given.keys().isdisjoint(("batch_size", "train_images", "val_fraction")):
        return
    fixed = spec.with_fixed(given)
    images = _Counted.of(class_counts)
    refuse_impossible(fixed, images)
    total, batch = len(images.train_labels), given.get("batch_size", 0)
    fewest_held_out = round(total * min(_extremes(fixed, {}, "val_fraction")))
    most = max(
        total - fewest_held_out if each is None else each for each in _extremes(fixed, {}, "train_images")
    )
    if batch > most:
        raise ConfigurationError(
            f"batch_size {batch:,} is larger than the training set of {counted(most, 'image')}"
        )


@dataclass(frozen=True)
class _Counted:
    """Training labels of which only the counts are known."""

    classes: tuple[str, ...]
    train_labels: Labels

    @classmethod
    def of(cls, counts: Sequence[int]) -> _Counted:
        return cls(tuple(map(str, range(len(counts)))), np.repeat(np.arange(len(counts)), counts))


def _refuse_stage(spec: StudySpec, stage: StageSpec, dataset: TrainingLabels) -> None:
    fixed = stage_fixed(spec, stage, len(dataset.train_labels))
    images = fixed.get("train_images")
    batch = spec.fixed.get("batch_size", 0)
    if images is not None and images < max(batch, len(dataset.classes)):
        raise ConfigurationError(
            f"data: {stage.data:g} is {counted(images, 'training image')}, fewer than "
            + (f"batch_size {batch}" if images < batch else "the number of classes")
        )
    folds = stage.confirm.folds if stage.confirm else 0
    counts = np.bincount(dataset.train_labels, minlength=len(dataset.classes))
    if folds > counts.min():
        raise ConfigurationError(
            f"folds: {folds} is more than the {counted(int(counts.min()), 'training image')} of class "
            f"{dataset.classes[counts.argmin()]}, and each fold needs one of each class; use "
            f"{counted(int(counts.min()), 'fold')} or fewer"
        )
    _refuse_splits(spec, fixed, [Fold(folds, i) for i in range(folds)] or [Fold()], dataset)


def _refuse_splits(
    spec: StudySpec, fixed: Mapping[str, Any], folds: list[Fold], dataset: TrainingLabels
) -> None:
    """Split as trials do, at the ends of what is searched."""
    key = split_key(Key(spec.seed))
    fractions = _extremes(spec, fixed, "val_fraction")
    for val_fraction, train_images, fold in product(fractions, _extremes(spec, fixed, "train_images"), folds):
        try:
            split(dataset.train_labels, dataset.classes, val_fraction, train_images, key, fold)
        except DataError as error:
            raise ConfigurationError(str(error)) from error


def _extremes(spec: StudySpec, fixed: Mapping[str, Any], name: str) -> Iterator[Any]:
    searched = None if name in fixed else spec.space.get(name)
    if searched is not None:
        values = searched.extremes()
        numbers = [value for value in values if value is not None]
        yield from {min(numbers), max(numbers)} if numbers else ()
        yield from (value for value in values if value is None)
    if searched is None or searched.when:
        default = Configuration.model_fields[name].default
        yield {**spec.fixed, **fixed}.get(name, default)
