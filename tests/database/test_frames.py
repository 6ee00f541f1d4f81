"""`hpo.open_results`: pandas frames and SQLAlchemy tables with the views' names and types."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import func, inspect, select, update
from sqlalchemy.exc import DBAPIError

import hpo
from hpo.config.configuration import Configuration
from hpo.errors import QueryError, StorageError, UserError
from hpo.settings import settings
from hpo.storage.tables import TrialRow
from hpo.storage.views import VIEW_TABLES, VIEWS
from tests.conftest import Fill
from tests.database.conftest import Bench, write_known_trials
from tests.helpers.population import Known, known_trials


@pytest.fixture(scope="module")
def contents() -> Fill:
    return write_known_trials


@pytest.fixture
def known() -> list[Known]:
    return known_trials()


@pytest.fixture
def opened(bench: Bench) -> Iterator[hpo.Results]:
    with hpo.open_results(bench.store.url) as results:
        yield results


EMPTY = ("decisions", "confirmations", "classes")
"""What the known study has none of: it has no stages, and its trials no confusion matrices."""


def test_each_view_is_a_frame_with_the_views_columns(known: list[Known], opened: hpo.Results) -> None:
    database = inspect(opened.engine)
    assert list(opened.views) == list(VIEW_TABLES)
    assert set(VIEW_TABLES) == set(VIEWS) - {"hpo_known_trial"}
    for view in VIEW_TABLES:
        frame = getattr(opened, view)()
        assert list(frame.columns) == [column["name"] for column in database.get_columns(view)], view
        assert (len(frame) > 0) == (view not in EMPTY), view


def test_results_have_the_types_of_the_fields_on_either_database(
    known: list[Known], opened: hpo.Results
) -> None:
    frame = opened.results("known")
    assert list(frame.number) == [each.number for each in known]
    assert list(frame.lr) == [each.lr for each in known]
    assert list(frame.activation) == [each.activation for each in known]
    assert frame.nesterov.dtype == "boolean"
    assert frame.nesterov.tolist() == [False] * len(known)
    assert frame.best_epoch.dtype == "Int64"
    assert frame.started.dtype == "datetime64[us]"
    assert (frame.finished >= frame.started).all()
    # What does not apply is missing; beta1 under SGD is a number all the same.
    assert frame.beta1.dtype == np.float64
    assert frame.beta1.isna().all()
    expected = frame[frame.state == "complete"].groupby("activation").value.max()
    asked = opened.query("best-per-activation", study="known").set_index("activation").best
    assert asked.to_dict() == expected.to_dict()


def test_a_frame_of_no_rows_has_its_types(bench: Bench, opened: hpo.Results) -> None:
    frame = opened.curves("nothing")
    assert len(frame) == 0
    assert frame.epoch.dtype == "Int64"
    assert frame.ended.dtype == "datetime64[us]"
    assert {str(each) for each in opened.results().dtypes} == {
        "string", "Int64", "float64", "boolean", "datetime64[us]",
    }  # fmt: skip


def test_curves_are_in_order(known: list[Known], opened: hpo.Results) -> None:
    frame = opened.curves()
    assert len(frame) == sum(each.epochs_done for each in known)
    assert frame[["number", "epoch"]].equals(frame[["number", "epoch"]].sort_values(["number", "epoch"]))


def test_sql_and_ready_questions_take_parameters(known: list[Known], opened: hpo.Results) -> None:
    frame = opened.query("SELECT number, lr FROM results WHERE lr > :low ORDER BY lr", low=0.5)
    assert frame.lr.tolist() == sorted(each.lr for each in known if each.lr > 0.5)
    assert isinstance(frame, pd.DataFrame)
    assert len(opened.query("curve", number=0)) == known[0].epochs_done
    with pytest.raises(QueryError, match="only reads"):
        opened.query("DELETE FROM hpo_trial")


def test_sqlalchemy_has_the_same_names_and_cannot_write(known: list[Known], opened: hpo.Results) -> None:
    results, trials = opened.views["results"], opened.tables["hpo_trial"]
    with opened.engine.connect() as connection:
        best = connection.scalar(select(func.max(results.c.value)).where(results.c.state == "complete"))
        row = connection.execute(select(results.c.started, results.c.regularize_all).limit(1)).one()
        assert connection.scalar(select(func.count()).select_from(trials)) == len(known)
    assert best == max(each.value or 0 for each in known)
    assert (type(row.started).__name__, row.regularize_all) == ("datetime", False)
    with pytest.raises(DBAPIError, match=r"(?i)read.?only"), opened.engine.begin() as connection:
        connection.execute(update(TrialRow).values(value=1.0))


def test_the_storage_of_the_settings_is_the_default(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, known: list[Known]
) -> None:
    monkeypatch.setenv("HPO_STORAGE", bench.store.url)
    settings.cache_clear()
    with hpo.open_results() as results:
        assert len(results.leaderboard()) == sum(each.state == "complete" for each in known)


def test_a_database_that_hpo_has_not_used_is_refused(empty_storage_url: str) -> None:
    with pytest.raises(StorageError):
        hpo.open_results(empty_storage_url)


def test_without_pandas_it_reports_what_to_install(
    bench: Bench, opened: hpo.Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UserError, match="pip install pandas"):
        opened.results()


def test_every_hyperparameter_is_a_column() -> None:
    assert set(Configuration.model_fields) <= set(VIEW_TABLES["results"].c.keys())
