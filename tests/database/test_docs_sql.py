"""docs/sql.md: everything in it that can be run is run, and it lists every column of every view."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import optuna
import pytest
from sqlalchemy import JSON, Boolean, DateTime, Double, Integer, Text, inspect

from hpo.cli.app import run_command
from hpo.config.configuration import Configuration
from hpo.queries.sql import run_sql
from hpo.settings import settings
from hpo.storage.store import ResultsStore
from hpo.storage.views import VIEW_TABLES
from tests.conftest import Fill
from tests.database.conftest import Bench
from tests.helpers.population import populate

PAGE = (Path(__file__).parents[2] / "docs" / "sql.md").read_text(encoding="utf-8")
WORDS = {
    Boolean: "boolean", DateTime: "timestamp", Double: "double", Integer: "integer", JSON: "json",
    Text: "text",
}  # fmt: skip


def write_quickstart(url: str) -> None:
    """Write a study with something to find for each question."""
    with ResultsStore(url) as store:
        populate(Bench(store), "quickstart")


@pytest.fixture(scope="module")
def contents() -> Fill | None:
    return write_quickstart


@pytest.fixture
def url(storage_url: str) -> str:
    return storage_url


@pytest.fixture
def theirs(bench: Bench) -> None:
    """A study that another program made."""
    with bench.plain_optuna() as storage:
        study = optuna.create_study(study_name="theirs", storage=storage)
        study.optimize(lambda trial: len(trial.suggest_categorical("kernel", ["rbf"])), n_trials=1)


def test_every_statement_finds_something_with_the_columns_of_its_answer(url: str, theirs: None) -> None:
    statements = re.findall(r"```sql\n(.*?)```\n\n```text\n(.*?)\n", PAGE, re.DOTALL)
    assert len(statements) == PAGE.count("```sql\n")
    assert len(statements) >= 15
    for statement, heading in statements:
        columns, rows = run_sql(url, statement)
        assert list(rows), statement
        assert heading.split() == columns, statement


def test_every_command_runs(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HPO_STORAGE", url)
    monkeypatch.chdir(tmp_path)
    settings.cache_clear()
    commands = re.findall(r"^\$ hpo (query .*)$", PAGE, re.MULTILINE)
    assert len(commands) >= 6
    for command in commands:
        assert run_command(shlex.split(command)) == 0, (command, capsys.readouterr().err)
    assert (tmp_path / "results.csv").read_text().startswith("study,stage,number")


def test_the_python_in_it_runs(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    for source in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(source.replace("sqlite:///hpo.db", url), names)
    assert len(names["results"].c) == len(VIEW_TABLES["results"].c)
    assert {name for name, _ in eval(capsys.readouterr().out)} == {"relu", "tanh", "sigmoid"}
    assert list(names["steep"].columns) == ["number", "value"]


def test_every_column_of_every_view_is_listed_in_its_order_with_its_type(bench: Bench) -> None:
    for view, table in VIEW_TABLES.items():
        section = PAGE.split(f"### {view}\n")[1].split("\n#")[0]
        listed = re.findall(r"^\| (\*?\w+\*?) \| ?(\w*) \|", section, re.MULTILINE)[1:]
        typed = [(column.name, WORDS[type(column.type)]) for column in table.c]
        if view == "results":
            place = listed.index(("*hyperparameters*", ""))
            count = len(Configuration.model_fields)
            listed[place : place + 1] = typed[place : place + count]
            assert [name for name, _ in typed[place : place + count]] == list(Configuration.model_fields)
        assert listed == typed, view
        columns = [column["name"] for column in inspect(bench.store.engine).get_columns(view)]
        assert columns == [name for name, _ in typed], view
