"""Studies whose trials cannot split a data set are refused before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from hpo.config.parsing.load import parse_study
from hpo.data.cache import Labels
from hpo.data.division import DRAWN, Division
from hpo.errors import ConfigurationError
from hpo.stages.validate import refuse_impossible


@dataclass(frozen=True)
class _Images:
    classes: tuple[str, ...]
    train_labels: Labels
    division: Division = DRAWN

    @classmethod
    def counted(cls, **counts: int) -> _Images:
        return cls(tuple(counts), np.repeat(np.arange(len(counts)), list(counts.values())))


THREE_EACH = _Images.counted(**dict.fromkeys("abcdefghij", 3))
RARE = _Images.counted(cat=60, dog=3)
LR = "lr: {log: [1e-4, 1]}"


def _refused(images: _Images, text: str) -> str:
    spec = parse_study(
        f"study: s\ntrials: 4\n{text}\n" if "stages" not in text else f"study: s\n{text}\n", "s.yaml"
    )
    with pytest.raises(ConfigurationError) as caught:
        refuse_impossible(spec, images)
    return str(caught.value)


def _staged(stages: str, val_fraction: float = 0.34) -> str:
    return f"fixed: {{val_fraction: {val_fraction}}}\nspace: {{{LR}}}\nstages: [{stages}]"


def test_more_folds_than_images_of_a_class() -> None:
    assert _refused(THREE_EACH, _staged("{name: a, trials: 4}, {name: b, confirm: {folds: 5}}")) == (
        "stage b: folds: 5 is more than the 3 training images of class a, and each fold needs one "
        "of each class; use 3 folds or fewer"
    )
    spec = parse_study(
        "study: s\n" + _staged("{name: a, trials: 4}, {name: b, confirm: {folds: 3}}"), "s.yaml"
    )
    refuse_impossible(spec, THREE_EACH)


def test_validate_refuses_a_share_below_a_batch_or_without_a_class() -> None:
    assert _refused(THREE_EACH, _staged("{name: a, trials: 4, data: 0.2}", 0.1)) == (
        "stage a: data: 0.2 is 5 training images, fewer than the number of classes"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            f"space: {{{LR}}}",
            "too few images for validation: class dog has 3 training images, and val_fraction: 0.1 leaves",
        ),
        (
            f"space: {{{LR}, val_fraction: {{uniform: [0.05, 0.4]}}}}",
            "class dog has 3 training images, and val_fraction: 0.05 leaves none",
        ),
        (
            "fixed: {val_fraction: 0.2, batch_size: 8}\nspace: {train_images: {choice: [null, 9]}}",
            "too few images for training: class dog has 3 training images, and train_images: 9 leaves none",
        ),
        (
            f"fixed: {{val_fraction: 0.2, batch_size: 8}}\nspace: {{{LR}, train_images: {{int: [40, 60]}}}}",
            "train_images is 60, but only 50 of 63 training images are left",
        ),
        (
            _staged("{name: a, trials: 4, data: 0.05}"),
            "stage a: too few images for training: class dog has 3 training images, and train_images: 2",
        ),
    ],
)
def test_class_that_a_trial_would_lack_is_named(text: str, message: str) -> None:
    assert message in _refused(RARE, text)
