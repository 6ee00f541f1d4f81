"""The results database from Python: pandas frames, and SQLAlchemy tables of the same names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any

from sqlalchemy import Boolean, Column, DateTime, Double, Engine, Integer, Table, Text, select

from hpo.config.configuration import Configuration
from hpo.config.study import StudySpec
from hpo.errors import UnknownStudyError, UserError
from hpo.queries.result_kinds import Kind
from hpo.queries.saved_queries import query_kinds, run_query
from hpo.queries.sql import TIMEOUT_SECONDS, Value
from hpo.settings import settings
from hpo.storage.engine import reading
from hpo.storage.studies import find_study, results_engine
from hpo.storage.tables import Base
from hpo.storage.views import VIEW_TABLES

if TYPE_CHECKING:
    from pandas import DataFrame

# pandas' nullable types, so that a missing number leaves integers integers.
_DTYPES: dict[type[Any], str] = {
    Integer: "Int64",
    Boolean: "boolean",
    Text: "string",
    DateTime: "datetime64[us]",
    Double: "float64",
}
_KINDS: dict[Kind | None, str] = {
    "boolean": "boolean",
    "integer": "Int64",
    "number": "float64",
    "text": "string",
    "time": "datetime64[us]",
}
_ORDER = ("study", "number", "rank", "epoch", "step", "position", "attempt", "param")


def open_results(url: str | None = None) -> Results:
    """Open a results database for reading; ``None`` means ``$HPO_STORAGE``, else ``sqlite:///hpo.db``.

    Raises ``StorageError`` if it is unusable or hpo has not used it yet, ``StorageUrlError`` for a wrong URL.
    """
    return Results(url or settings().storage)


class Results:
    """A results database, opened for reading.

    Each view has a method that returns it as a pandas frame, whole or for one ``study``. ``views`` has the
    views as SQLAlchemy tables and ``tables`` hpo's own tables (``hpo_trial``, ...); ``engine`` runs
    statements on them in a read-only transaction. docs/sql.md describes every column. Frames raise
    ``UserError`` without pandas.
    """

    def __init__(self, url: str) -> None:
        self.engine: Engine = results_engine(url)
        self.views: dict[str, Table] = dict(VIEW_TABLES)
        self.tables: dict[str, Table] = {
            name: table for name, table in Base.metadata.tables.items() if name.startswith("hpo_")
        }
        self._url = url

    def results(self, study: str | None = None) -> DataFrame:
        """Return one row per trial, with a column per hyperparameter.

        Of one ``study`` of your own training these are its parameters; one with the name of another column is
        called ``param_NAME``.
        """
        frame = self._frame("results", study)
        names = () if study is None else self._own_names(study)
        return _with_parameters(frame, names) if names else frame

    def curves(self, study: str | None = None) -> DataFrame:
        """Return one row per epoch."""
        return self._frame("curves", study)

    def classes(self, study: str | None = None) -> DataFrame:
        """Return one row per trial and class: what the best epoch predicts for the validation images."""
        return self._frame("classes", study)

    def layers(self, study: str | None = None) -> DataFrame:
        """Return one row per layer and probe."""
        return self._frame("layers", study)

    def findings(self, study: str | None = None) -> DataFrame:
        """Return one row per finding of a check."""
        return self._frame("findings", study)

    def attempts(self, study: str | None = None) -> DataFrame:
        """Return one row per attempt at a trial."""
        return self._frame("attempts", study)

    def leaderboard(self, study: str | None = None) -> DataFrame:
        """Return complete trials with their rank within each study."""
        return self._frame("leaderboard", study)

    def tradeoffs(self, study: str | None = None) -> DataFrame:
        """Return complete trials with what they have of the second objective."""
        return self._frame("tradeoffs", study)

    def params(self, study: str | None = None) -> DataFrame:
        """Return one row per parameter of any Optuna trial in the database."""
        return self._frame("params", study)

    def study_findings(self, study: str | None = None) -> DataFrame:
        """Return one row per finding about a whole study."""
        return self._frame("study_findings", study)

    def stages(self, study: str | None = None) -> DataFrame:
        """Return one row per stage that has begun."""
        return self._frame("stages", study)

    def decisions(self, study: str | None = None) -> DataFrame:
        """Return one row per decision made when a stage began."""
        return self._frame("decisions", study)

    def confirmations(self, study: str | None = None) -> DataFrame:
        """Return one row per confirmed configuration, with the results of its runs."""
        return self._frame("confirmations", study)

    def query(self, sql_or_name: str, /, *, timeout: float = TIMEOUT_SECONDS, **params: Value) -> DataFrame:
        """Return the result of a SELECT statement or of a saved query (``hpo query --list``).

        ``query("best", study="mine")``, ``query("SELECT lr FROM results WHERE value > :low", low=0.8)``.
        Raises ``QueryError`` for wrong SQL, for anything but reading, and after ``timeout`` seconds.
        """
        pandas = _pandas()
        columns, rows = run_query(self._url, sql_or_name, params, timeout)
        frame: DataFrame = pandas.DataFrame.from_records(list(rows), columns=columns)
        for name, kind in zip(columns, query_kinds(self._url, sql_or_name, params), strict=False):
            if kind in _KINDS and columns.count(name) == 1:
                with suppress(TypeError, ValueError):  # a column of SQLite may have any value
                    frame[name] = frame[name].astype(pandas.api.types.pandas_dtype(_KINDS[kind]))
        return frame

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def __enter__(self) -> Results:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _frame(self, view: str, study: str | None) -> DataFrame:
        pandas = _pandas()
        table = self.views[view]
        statement = select(table).order_by(*(table.c[name] for name in _ORDER if name in table.c))
        if study is not None:
            statement = statement.where(table.c.study == study)
        with reading(self.engine) as connection:
            rows = [tuple(row) for row in connection.execute(statement)]
        frame: DataFrame = pandas.DataFrame.from_records(rows, columns=list(table.c.keys()))
        return frame.astype({column.name: _dtype(column) for column in table.c})

    def _own_names(self, study: str) -> tuple[str, ...]:
        """Return the parameters of a study of the user's own training; none for other studies."""
        with suppress(UnknownStudyError), reading(self.engine) as connection:
            spec = StudySpec.model_validate(find_study(connection, study).spec)
            return (*spec.fixed, *spec.space) if spec.is_own else ()
        return ()


def _with_parameters(frame: DataFrame, names: Sequence[str]) -> DataFrame:
    """Replace the columns of hyperparameters by those of the parameters."""
    pandas = _pandas()
    place = list(frame.columns).index(next(iter(Configuration.model_fields)))
    others = frame.drop(columns=list(Configuration.model_fields))
    values = [json.loads(each) for each in frame["configuration"]]
    for name in reversed(names):
        column = pandas.Series([each.get(name) for each in values], index=frame.index, dtype=object)
        title = f"param_{name}" if name in others else name
        others.insert(place, title, column.convert_dtypes())
    return others


def _dtype(column: Column[Any]) -> str:
    return _DTYPES.get(type(column.type), "object")


def _pandas() -> Any:
    try:
        import pandas
    except ImportError:
        raise UserError("frames require pandas: pip install pandas") from None
    return pandas
