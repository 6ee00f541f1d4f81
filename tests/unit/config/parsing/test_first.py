"""``first:`` of study files: known configurations before draws."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from hpo.config.parsing.load import parse_study
from hpo.config.schema import study_schema
from hpo.config.study import StudySpec
from hpo.config.write import study_text
from hpo.errors import StudyFileError

SPACE = "{lr: {log: [1e-2, 1]}, width: {int: [4, 8]}, activation: {choice: [relu, elu]}}"
HEAD = f"study: s\ntrials: 2\nspace: {SPACE}\n"


def _read(rest: str, head: str = HEAD) -> StudySpec:
    return parse_study(f"{head}{rest}\n", "s.yaml")


def test_defaults_are_those_that_lie_in_the_space() -> None:
    """The default width, 16, does not."""
    assert _read("first: defaults").first == ({"lr": 0.05, "activation": "relu"},)


def test_configurations_are_listed_with_what_is_known_of_them() -> None:
    spec = _read("first: [{lr: 3, dropout: 0.1}, defaults]")
    assert spec.first == ({"lr": 3.0, "dropout": 0.1}, {"lr": 0.05, "activation": "relu"})
    assert parse_study(study_text(spec), "s.yaml") == spec
    assert _read("").first == () == _read("first:").first


def test_it_can_be_set_on_the_command_line() -> None:
    assert parse_study(HEAD, "s.yaml", ["first=[{lr: 0.3}]"]).first == ({"lr": 0.3},)


def test_the_schema_knows_it() -> None:
    schema = study_schema()
    for first in ("defaults", ["defaults", {"lr": 0.05}]):
        jsonschema.validate({"study": "s", "trials": 2, "first": first}, schema)
    wrong: list[Any] = ["default", [{"lr": {"log": [1, 2]}}], [{}], {"lr": 1}]
    for each in wrong:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"study": "s", "trials": 2, "first": each}, schema)


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        (
            "first: default",
            "s.yaml:4: first: 'default' is not a configuration (e.g. first: defaults, or first: [",
        ),
        ("first: [{}]", "s.yaml:4: first: an empty mapping is not a configuration"),
        ("first: [[1]]", "s.yaml:4: first: a list is not a configuration"),
        ("first: [{lrr: 1}]", "s.yaml:4: first: unknown hyperparameter 'lrr' (did you mean lr?)"),
        (
            "first: [{dataset: cifar10}]",
            "s.yaml:4: first: dataset cannot be set here: all trials of a study share",
        ),
        ("first: [{lr: fast}]", "s.yaml:4: first: lr: 'fast' is not a number"),
        ("first: [{lr: {log: [1, 2]}}]", "s.yaml:4: first: lr: a mapping is not a number"),
        ("first: [{momentum: 0, nesterov: true}]", "s.yaml:4: first: nesterov needs momentum above 0"),
        (
            "first: [{lr: 1}, {lr: 2}, {lr: 3}]",
            "s.yaml:4: first: has 3 configurations, more than the 2 trials",
        ),
    ],
)
def test_mistakes_are_reported_with_their_line(rest: str, message: str) -> None:
    with pytest.raises(StudyFileError) as caught:
        _read(rest)
    assert message in str(caught.value)


def test_no_default_lies_in_the_space() -> None:
    with pytest.raises(StudyFileError, match="first: no default lies in the space"):
        _read("first: defaults", "study: s\ntrials: 2\nspace: {width: {int: [4, 8]}}\n")


def test_a_grid_has_no_place_for_it() -> None:
    with pytest.raises(StudyFileError, match="first: would replace points of the grid"):
        _read(
            "first: defaults",
            "study: s\ntrials: 2\nsampler: grid\nspace: {activation: {choice: [relu, elu]}}\n",
        )


def test_of_stages_the_first_has_it() -> None:
    stages = "stages: [{name: coarse, trials: 1, epochs: 1}, {name: fine, trials: 4, epochs: 2}]\n"
    head = f"study: s\nspace: {{lr: {{log: [1e-2, 1]}}}}\n{stages}"
    assert _read("first: defaults", head).first == ({"lr": 0.05},)
    with pytest.raises(StudyFileError, match="has 2 configurations, more than the 1 trial to"):
        _read("first: [{lr: 1}, {lr: 2}]", head)


def test_a_study_without_it_is_stored_as_before() -> None:
    assert "first" not in json.loads(_read("").model_dump_json(exclude_defaults=True))
