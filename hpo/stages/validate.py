"""Refuse studies that do not fit the data set, before anything is trained."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from hpo.config.configuration import Configuration
from hpo.config.image_format import Shape
from hpo.config.study import StageSpec, StudySpec
from hpo.data.cache import Labels
from hpo.data.division import Division
from hpo.data.matrices import refuse_large_matrices
from hpo.data.split import Fold, split, split_key
from hpo.errors import ConfigurationError, DataError
from hpo.rng import Key
from hpo.stages.divided import TrainingLabels, divided_images, no_fraction
from hpo.stages.store import TrainingImages, stage_fixed
from hpo.text import counted


def refuse_impossible(spec: StudySpec, dataset: TrainingLabels) -> None:
    """Raise ``ConfigurationError`` if some trial of the study cannot split these images."""
    if "val_fraction" in spec.space and dataset.division.kind != "drawn":
        raise ConfigurationError(f"val_fraction cannot be searched: {no_fraction(dataset.division)}")
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


def refuse_given(
    spec: StudySpec,
    given: Mapping[str, Any],
    class_counts: Sequence[int],
    val_class_counts: Sequence[int] = (),
) -> None:
    """Raise ``ConfigurationError`` if a trial with the given values does not fit the training images.

    ``val_class_counts`` are the validation images of each class where they are not drawn.
    """
    if not class_counts or given.keys().isdisjoint(("batch_size", "train_images", "val_fraction")):
        return
    fixed = spec.with_fixed(given)
    if val_class_counts and "val_fraction" in given:
        raise ConfigurationError(
            "val_fraction cannot be given: all trials of this study are validated on the same images"
        )
    images = _Counted.of(class_counts, val_class_counts)
    refuse_impossible(fixed, images)
    total, batch = len(images.train_labels), given.get("batch_size", 0)
    drawn = round(total * min(_extremes(fixed, {}, "val_fraction")))
    fewest_held_out = sum(val_class_counts) or drawn
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
    division: Division

    @classmethod
    def of(cls, counts: Sequence[int], held_out: Sequence[int]) -> _Counted:
        names, labels = tuple(map(str, range(len(counts)))), np.arange(len(counts))
        if not held_out:
            return cls(names, np.repeat(labels, counts), Division())
        parts = np.repeat(labels, np.subtract(counts, held_out)), np.repeat(labels, held_out)
        return cls(names, np.concatenate(parts), Division(given=sum(held_out)))


def _refuse_stage(spec: StudySpec, stage: StageSpec, dataset: TrainingLabels) -> None:
    try:
        divided = divided_images(spec, dataset)
    except DataError as error:
        raise ConfigurationError(str(error)) from error
    held_out = sum(divided.class_counts) if divided else None
    fixed = stage_fixed(spec, stage, TrainingImages(len(dataset.train_labels), held_out))
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
            split(
                dataset.train_labels, dataset.classes, val_fraction, train_images, key, fold, dataset.division
            )
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
