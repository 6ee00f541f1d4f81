"""The library's files; tests/database/test_questions.py asks them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hpo.queries import saved_queries
from hpo.queries.saved_queries import NAMES, saved_query
from hpo.queries.sql_text import parameter_names

FOLDER = Path(saved_queries.__file__).parent / "saved"


def test_every_file_is_listed_once() -> None:
    assert sorted(NAMES) == sorted(path.stem for path in FOLDER.glob("*.sql"))
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_head_documents_each_parameter_and_fits_a_terminal(name: str) -> None:
    ready = saved_query(name)
    assert sorted(parameter_names(ready.sql)) == sorted(each.name for each in ready.parameters)
    assert 10 < len(ready.title) <= 56
    assert all(each.meaning for each in ready.parameters)
    head = ready.sql.split("\nSELECT")[0].split("\nWITH")[0]
    assert all(line.startswith("--") for line in head.splitlines())
    assert max(map(len, ready.sql.splitlines())) <= 120
    assert not re.search(r"\bSELECT \*", ready.sql)


def test_defaults_have_the_parameters_type() -> None:
    assert [str(each) for each in saved_query("best").parameters] == ["study", "count=10"]
    assert saved_query("best").parameters[1].default == 10
