"""Columns that follow from `Configuration`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest

from hpo.config.configuration import Configuration
from hpo.storage import views


@pytest.mark.parametrize(
    ("annotation", "sql"),
    [
        (float, "DOUBLE PRECISION"),
        (float | None, "DOUBLE PRECISION"),
        (int | None, "INTEGER"),
        (bool, "BOOLEAN"),
        (str | None, "TEXT"),
        (Literal["a", "b"], "TEXT"),
        (Literal["a"] | None, "TEXT"),
    ],
)
def test_a_fields_type_is_its_columns(annotation: Any, sql: str) -> None:
    assert views.column_type(annotation) == sql


def test_every_view_has_its_file_and_every_file_its_view() -> None:
    folder = Path(views.__file__).parent / "sql" / "views"
    assert {path.name.split(".")[0] for path in folder.iterdir()} == set(views.VIEWS)


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_results_has_a_column_for_each_hyperparameter(dialect: str) -> None:
    results = next(each for each in views.statements(dialect) if each.startswith("CREATE VIEW results"))
    assert all(f" AS {name},\n" in results for name in Configuration.model_fields)
    assert "/*" not in results


def test_the_fingerprint_differs_between_texts() -> None:
    assert views.fingerprint("sqlite") != views.fingerprint("postgresql")
    assert views.fingerprint("sqlite") == views.fingerprint("sqlite")
