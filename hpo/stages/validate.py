"""Refuse stages that do not fit the data set, before anything is trained."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from hpo.config.study import StudySpec
from hpo.data.cache import Labels
from hpo.errors import ConfigurationError
from hpo.stages.store import stage_fixed


class TrainingLabels(Protocol):
    """The part of a data set that decides whether stages fit it."""

    @property
    def train_labels(self) -> Labels: ...


def refuse_impossible(spec: StudySpec, dataset: TrainingLabels) -> None:
    """Raise ``ConfigurationError`` if a stage does not fit these images."""
    labels = dataset.train_labels
    rarest = int(np.bincount(labels).min()) if len(labels) else 0
    for stage in spec.stages:
        fixed = stage_fixed(spec, stage, len(labels))
        images = fixed.get("train_images")
        batch = spec.fixed.get("batch_size", 0)
        if images is not None and images < max(batch, len(np.unique(labels))):
            raise ConfigurationError(
                f"stage {stage.name}: data: {stage.data:g} is {images} training images, fewer than "
                + (f"batch_size {batch}" if images < batch else "the number of classes")
            )
        folds = stage.confirm.folds if stage.confirm else 0
        if folds > rarest:
            raise ConfigurationError(
                f"stage {stage.name}: folds: {folds} is more than the {rarest} training images of the rarest "
                f"class, and each fold needs one of each class; use {rarest} folds or fewer"
            )
