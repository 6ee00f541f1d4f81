"""What stands under ``pruner:``, read and written."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from hpo.config.methods import Asha, Hyperband, Median
from hpo.config.parsing.load import parse_study
from hpo.config.study import StudySpec

SPACE = {"lr": {"log": [1e-4, 1.0]}}


def _spec(pruner: Any) -> StudySpec:
    return StudySpec.model_validate({"study": "s", "trials": 1, "space": SPACE, "pruner": pruner})


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("none", None),
        ("asha", Asha()),
        ({"asha": {"reduction": 4, "promote": True}}, Asha(reduction=4, promote=True)),
        ("hyperband", Hyperband()),
        ({"median": {"warmup_epochs": 3}}, Median(warmup_epochs=3)),
    ],
)
def test_a_pruner_is_read_and_written_as_it_stands_in_the_file(written: Any, read: Any) -> None:
    spec = _spec(written)
    assert spec.pruner.rules == read
    assert type(spec.pruner.rules) is type(read)
    assert spec.pruner.name == (written if isinstance(written, str) else next(iter(written)))
    assert spec.model_dump(mode="json")["pruner"] == written
    assert StudySpec.model_validate(spec.model_dump(mode="json")) == spec
    text = f"study: s\ntrials: 1\nspace: {{lr: {{log: [1e-4, 1]}}}}\npruner: {written}"
    assert parse_study(text.replace("'", "").replace("True", "true"), "s") == spec


def test_no_pruner_is_the_default() -> None:
    spec = StudySpec.model_validate({"study": "s", "trials": 1, "space": SPACE})
    assert spec.pruner.rules is None
    assert spec.model_dump(mode="json")["pruner"] == "none"


@pytest.mark.parametrize("wrong", ["medan", 3, {}, {"asha": {}, "median": {}}, {"asha": {"reduction": 1}}])
def test_anything_else_is_refused(wrong: Any) -> None:
    with pytest.raises(ValidationError, match="pruner"):
        _spec(wrong)


def test_the_command_line_sets_an_option() -> None:
    text = "study: s\ntrials: 1\npruner: asha\nspace: {lr: {log: [1e-4, 1]}}"
    assert parse_study(text, "s", ["pruner=none"]).pruner.rules is None
    assert parse_study(text, "s", ["pruner.asha.reduction=2"]).pruner.rules == Asha(reduction=2)
