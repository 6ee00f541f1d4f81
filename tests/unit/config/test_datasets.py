"""Names of data sets, and what follows from them."""

from __future__ import annotations

import pytest

from hpo.config.datasets import OF_SYMBOLS, is_dataset
from hpo.config.parsing.load import parse_study
from hpo.errors import StudyFileError


def study(fixed: str) -> str:
    return f"study: s\ntrials: 1\nfixed: {{{fixed}}}\n"


@pytest.mark.parametrize("name", sorted(OF_SYMBOLS))
def test_digits_and_letters_are_not_mirrored_by_default(name: str) -> None:
    assert parse_study(study(f"dataset: {name}"), "s.yaml").image_configuration({}).augmentation == "crop"
    flipped = parse_study(study(f"dataset: {name}, augmentation: flip_crop"), "s.yaml")
    assert flipped.image_configuration({}).augmentation == "flip_crop"
    assert (
        parse_study(study("dataset: cifar10"), "s.yaml").image_configuration({}).augmentation == "flip_crop"
    )


def test_a_name_that_a_study_is_bound_to_later_counts() -> None:
    spec = parse_study(study("dataset: auto"), "s.yaml")
    assert spec.image_configuration({}, {"dataset": "mnist"}).augmentation == "crop"


@pytest.mark.parametrize("name", ["table", "arrays", "folder"])
def test_files_need_a_place(name: str) -> None:
    with pytest.raises(StudyFileError, match=f"dataset: {name} needs data_root, the "):
        parse_study(study(f"dataset: {name}"), "s.yaml")


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(StudyFileError, match=r"unknown data set 'minst' \(did you mean mnist\?\)"):
        parse_study(study("dataset: minst"), "s.yaml")
    with pytest.raises(StudyFileError, match=r"or package\.module:function for your own"):
        parse_study(study("dataset: zzz"), "s.yaml")
    assert is_dataset("a.b:c") and not is_dataset("abc")
