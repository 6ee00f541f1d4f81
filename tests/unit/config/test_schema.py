from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from hpo.config.configuration import Configuration
from hpo.config.parsing.load import parse_study
from hpo.config.parsing.source import bundled_studies, bundled_text
from hpo.config.schema import schema_text, study_schema
from hpo.config.study import StudySpec
from hpo.errors import StudyFileError

REPOSITORY = Path(__file__).parents[3]


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", REPOSITORY / "docs" / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_documentation_is_current(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(REPOSITORY / "docs")  # it imports its neighbors
    generated = _generator().generated()
    assert len(generated) > 2
    for path, text in generated.items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is old: run python docs/generate.py"


def test_every_key_and_hyperparameter_is_documented() -> None:
    page = (REPOSITORY / "docs" / "study-files.md").read_text(encoding="utf-8")
    for name in [*Configuration.model_fields, *StudySpec.model_fields]:
        assert f"`{name}" in page


def test_the_studies_in_the_documentation_are_valid() -> None:
    page = (REPOSITORY / "docs" / "study-files.md").read_text(encoding="utf-8")
    studies = [
        block.split("```")[0] for block in page.split("```yaml\n")[1:] if "study:" in block.split("```")[0]
    ]
    assert studies
    for text in studies:
        assert parse_study(text, "docs").trials > 0


def test_the_mistakes_in_the_documentation_are_what_is_reported() -> None:
    page = (REPOSITORY / "docs" / "study-files.md").read_text(encoding="utf-8")
    shown = page.split("$ hpo run wrong.yaml\nerror: ")[1].split("\n```")[0]
    wrong = (
        "study: s\ntrials: 5\nsampel: grid\nfixed:\n  epochs: 4\n  warmup_epochs: 5\nspace:\n"
        "  lr: {log: [0, 1]}\n  activation: {choice: [relu, leakyrelu]}\n"
    )
    with pytest.raises(StudyFileError) as caught:
        parse_study(wrong, "wrong.yaml")
    assert str(caught.value) == shown


def _validator() -> Any:
    jsonschema = pytest.importorskip("jsonschema")
    return jsonschema.Draft7Validator(study_schema())


def test_the_schema_is_itself_valid_and_accepts_the_bundled_studies() -> None:
    validator = _validator()
    validator.check_schema(study_schema())
    assert len(bundled_studies()) > 2
    for name in bundled_studies():
        assert list(validator.iter_errors(yaml.safe_load(bundled_text(name)))) == []


@pytest.mark.parametrize(
    ("fixed", "space"),
    [
        ({"lrr": 1}, {}),
        ({"dropout": 1.0}, {}),
        ({"width": 0}, {}),
        ({"activation": "reluu"}, {}),
        ({"lr": {"log": [1, 2]}}, {}),
        ({}, {"lr": 0.1}),
        ({}, {"lr": {"log": [0, 1]}}),
        ({}, {"l1": {"log": [0, 1]}}),
        ({}, {"lr": {"log": [1, 2], "uniform": [1, 2]}}),
        ({}, {"width": {"log": [1, 2]}}),
        ({}, {"width": {"int": [1, 2, 3]}}),
        ({}, {"activation": {"choice": []}}),
        ({}, {"activation": {"choice": ["relu", "relu"]}}),
        ({}, {"lr": {"log": [1, 2], "when": {"optimizer": "sdg"}}}),
        ({}, {"dataset": {"choice": ["cifar10"]}}),
    ],
)
def test_the_schema_marks_mistakes(fixed: dict[str, Any], space: dict[str, Any]) -> None:
    study = {"study": "s", "trials": 1, "fixed": fixed, "space": space}
    assert list(_validator().iter_errors(study))


def test_bundled_studies_name_the_schema_that_is_checked_in() -> None:
    paths = list((REPOSITORY / "studies").glob("*.yaml"))
    assert len(paths) > 2
    for path in paths:
        first = path.read_text(encoding="utf-8").splitlines()[0]
        schema = path.parent / first.removeprefix("# yaml-language-server: $schema=")
        assert json.loads(schema.read_text(encoding="utf-8")) == json.loads(schema_text())
