"""Stages that cannot work on a data set are refused before anything is trained."""

from __future__ import annotations

import numpy as np
import pytest

from hpo.config.parsing.load import parse_study
from hpo.errors import ConfigurationError
from hpo.stages.validate import refuse_impossible


class _Images:
    """30 images, three of each of ten classes."""

    train_labels = np.repeat(np.arange(10), 3)


def _refused(stages: str) -> str:
    spec = parse_study(f"study: s\nspace: {{lr: {{log: [1e-4, 1]}}}}\nstages: [{stages}]\n", "s.yaml")
    with pytest.raises(ConfigurationError) as caught:
        refuse_impossible(spec, _Images())
    return str(caught.value)


def test_more_folds_than_images_of_a_class() -> None:
    assert _refused("{name: a, trials: 4}, {name: b, confirm: {folds: 5}}") == (
        "stage b: folds: 5 is more than the 3 training images of the rarest class, and each fold needs one "
        "of each class; use 3 folds or fewer"
    )
    spec = parse_study(
        "study: s\nspace: {lr: {log: [1e-4, 1]}}\n"
        "stages: [{name: a, trials: 4}, {name: b, confirm: {folds: 3}}]",
        "s.yaml",
    )
    refuse_impossible(spec, _Images())


def test_validate_refuses_a_share_below_a_batch_or_without_a_class() -> None:
    assert _refused("{name: a, trials: 4, data: 0.2}") == (
        "stage a: data: 0.2 is 5 training images, fewer than the number of classes"
    )
