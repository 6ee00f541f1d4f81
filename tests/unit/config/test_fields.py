"""What fields accept, with pydantic's own validation of ``Configuration`` as the independent judge."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from hpo.config.configuration import Configuration
from hpo.config.fields import HYPERPARAMETERS, as_written, number_text, when_text, yaml_text
from hpo.config.parsing.consistency import broken_rules
from hpo.config.parsing.load import parse_study
from hpo.errors import StudyFileError


def fixed(name: str, value: Any) -> Any:
    text = f"study: s\ntrials: 1\nfixed: {{{name}: {json.dumps(value)}}}"
    return parse_study(text, "s.yaml").fixed[name]


# Fields that a rule between fields or a list of names beyond pydantic's knowledge also judges.
_ALONE = sorted(set(HYPERPARAMETERS) - {"model", "depth", "dataset"})


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(_ALONE),
    st.sampled_from([-1, 0, 1e-9, 0.25, 0.5, 0.6, 1, 1.5, 2, 3, 16, 17, 3072, 3073, 10**6])
    | st.integers(-5, 5)
    | st.floats(-1e15, 1e15),
)
def test_numbers_are_accepted_exactly_where_pydantic_accepts_them(name: str, value: float) -> None:
    field = HYPERPARAMETERS[name]
    if field.kind not in ("number", "whole"):
        return
    try:
        expected = getattr(Configuration.model_validate({name: value}), name)
    except ValidationError:
        with pytest.raises(StudyFileError):
            fixed(name, value)
    else:
        if broken := broken_rules(Configuration.model_validate({name: value}).model_dump()):
            with pytest.raises(StudyFileError, match=re.escape(broken[0])):
                fixed(name, value)
        else:
            assert fixed(name, value) == expected


@pytest.mark.parametrize("name", [name for name, field in HYPERPARAMETERS.items() if field.words])
def test_every_word_of_a_list_is_accepted_and_no_other(name: str) -> None:
    if name != "dataset":
        for word in HYPERPARAMETERS[name].words:
            assert fixed(name, word) == getattr(Configuration.model_validate({name: word}), name)
    with pytest.raises(ValidationError):
        Configuration.model_validate({name: "no such word"})
    with pytest.raises(StudyFileError):
        fixed(name, "no such word")


@pytest.mark.parametrize(("written", "value"), [("yes", True), ("on", True), ("No", False), ("false", False)])
def test_a_flag_is_accepted_as_people_write_it(written: str, value: bool) -> None:
    assert parse_study(f"study: s\ntrials: 1\nfixed: {{nesterov: {written}}}", "s").fixed == {
        "nesterov": value
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-4, "1e-4"),
        (0.0015, "1.5e-3"),
        (0.05, "0.05"),
        (1.0, "1"),
        (3072, "3072"),
        (1.5e-7, "1.5e-7"),
        (-2e-3, "-2e-3"),
        (0.0, "0"),
        (2**63, "9223372036854775808"),
    ],
)
def test_numbers_are_shown_as_people_write_them(value: float, text: str) -> None:
    assert number_text(value) == text


def test_values_are_shown_as_yaml() -> None:
    assert [yaml_text(value) for value in (None, True, 0.1, 3, "relu")] == [
        "null",
        "true",
        "0.1",
        "3",
        "relu",
    ]
    assert as_written("x" * 100) == "x" * 50 + "... (100 characters)"


def test_conditions_are_shown_in_words() -> None:
    assert when_text("momentum") == "optimizer: sgd, rmsprop, muon"
    assert when_text("lr") == ""
