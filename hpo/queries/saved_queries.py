"""Saved queries: one documented SQL file each in saved/, run by name instead of SQL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from pathlib import Path

from hpo.config.suggestions import did_you_mean
from hpo.errors import QueryError, UnknownStudyError
from hpo.queries.result_kinds import Kind, result_kinds
from hpo.queries.sql import TIMEOUT_SECONDS, Parameters, Rows, Value, run_sql
from hpo.queries.sql_text import parameter_names
from hpo.storage.studies import unknown_study, unknown_trial
from hpo.storage.views import VIEWS

NAMES = (
    "best",
    "front",
    "best-per-activation",
    "best-per-choice",
    "activation-batch-norm",
    "lr-slices",
    "importance",
    "boundary",
    "progress",
    "stages",
    "still-improving",
    "overfitting",
    "seed-variance",
    "failure-causes",
    "failures-by-lr",
    "findings-per-check",
    "curve",
    "layer-health",
    "provenance",
    "slowest",
    "pruned-savings",
    "worker-throughput",
    "interrupted",
    "compare-studies",
    "studies",
)
"""Every saved query, in the order of `hpo query --list`."""

_FOLDER = Path(__file__).parent / "saved"
_PARAMETER = re.compile(r":(\w+) \((text|integer|number)(?:, default (.+))?\)\s+(\S.*)")
_NAME = re.compile(r"[A-Za-z][\w-]*")
_TYPES: dict[str, type[str] | type[int] | type[float]] = {"text": str, "integer": int, "number": float}
# Parameters with these names are studies, in a user's own SQL too.
_STUDY = "study"
_STUDY_NAMES = (_STUDY, "other")


@dataclass(frozen=True)
class Parameter:
    """A parameter of a saved query; required unless it has a ``default``."""

    name: str
    kind: str
    default: Value
    meaning: str

    def __str__(self) -> str:
        return self.name if self.default is None else f"{self.name}={self.default}"

    def read(self, value: Value) -> Value:
        """Return the value in the parameter's type; raises ``QueryError``."""
        try:
            return None if value is None else _TYPES[self.kind](value)
        except ValueError:
            raise QueryError(
                f":{self.name} is {value!r}, which is not a valid {self.kind}: {self.meaning}"
            ) from None


@dataclass(frozen=True)
class SavedQuery:
    """A saved query; the head of its SQL file has the title and the parameters."""

    name: str
    title: str
    parameters: tuple[Parameter, ...]
    sql: str


@cache
def saved_query(name: str) -> SavedQuery:
    """Return the saved query of this name; raises ``QueryError`` with a suggestion."""
    if name not in NAMES:
        raise QueryError(f"unknown saved query {name}: {_hint(name)}")
    sql = (_FOLDER / f"{name}.sql").read_text(encoding="utf-8")
    comment = takewhile(lambda line: line.startswith("--"), sql.splitlines())
    head = [line.removeprefix("--").strip() for line in comment]
    found = [match for line in head if (match := _PARAMETER.fullmatch(line))]
    return SavedQuery(name, head[0], tuple(_parameter(match) for match in found), sql)


def run_query(
    url: str, sql_or_name: str, params: Parameters | None = None, timeout: float = TIMEOUT_SECONDS
) -> tuple[list[str], Rows]:
    """Return the columns and rows of a saved query or of SQL; see ``run_sql``.

    ``:study`` is optional if the database has only one study. Raises ``UnknownStudyError`` for an unknown
    study and ``UserError`` for an unknown trial number in a saved query.
    """
    return run_sql(url, *_statement(url, sql_or_name, params or {}), timeout)


def query_kinds(url: str, sql_or_name: str, params: Parameters | None = None) -> list[Kind | None]:
    """Return the kinds of the columns that ``run_query`` gives; see ``result_kinds``."""
    return result_kinds(url, *_statement(url, sql_or_name, params or {}))


def _statement(url: str, sql_or_name: str, params: Parameters) -> tuple[str, dict[str, Value]]:
    """Return the SQL, and all of its parameters."""
    given = dict(params)
    if not _NAME.fullmatch(sql_or_name.strip()):
        wanted = parameter_names(sql_or_name)
        if _STUDY in wanted and _STUDY not in given:
            given[_STUDY] = _only_study(_studies(url))
        return sql_or_name, given
    ready = saved_query(sql_or_name.strip())
    return ready.sql, _fill(url, ready, given)


def _parameter(match: re.Match[str]) -> Parameter:
    name, kind, default, meaning = match.groups()
    return Parameter(name, kind, None if default is None else _TYPES[kind](default), meaning)


def _hint(name: str) -> str:
    if name in VIEWS:
        return f'{name} is a view: try "SELECT * FROM {name}"'
    hint = did_you_mean(name, NAMES)
    listed = "`hpo query --list` shows all; anything else must be SQL"
    return f"{hint} {listed}" if hint else listed


def _fill(url: str, ready: SavedQuery, given: Mapping[str, Value]) -> dict[str, Value]:
    known = {parameter.name: parameter for parameter in ready.parameters}
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise QueryError(f"{ready.name} has no parameter {unknown[0]}: {_listing(ready)}")
    values: dict[str, Value] = {
        name: each.default for name, each in known.items() if each.default is not None
    }
    values |= {name: known[name].read(value) for name, value in given.items()}
    if _STUDY in known:
        studies = _studies(url)
        if _STUDY not in values:
            values[_STUDY] = _only_study(studies)
    missing = [name for name in known if name not in values]
    if missing:
        raise QueryError(f"{ready.name} needs --param {missing[0]}=...: {_listing(ready)}")
    if _STUDY in known:
        _require_known(url, values, studies)
    return values


def _require_known(url: str, values: Mapping[str, Value], studies: list[str]) -> None:
    """Raise for an unknown study or trial, whose result would be empty without an explanation."""
    for name in _STUDY_NAMES:
        if name in values and values[name] not in studies:
            raise unknown_study(str(values[name]), studies)
    if "number" in values:
        _require_number(url, values)


def _listing(ready: SavedQuery) -> str:
    if not ready.parameters:
        return "it has none"
    return "it has " + ", ".join(
        f"{each.name} ({each.meaning}" + (f"; {each.default}" if each.default is not None else "") + ")"
        for each in ready.parameters
    )


def _studies(url: str) -> list[str]:
    _, rows = run_sql(url, "SELECT study_name FROM studies ORDER BY study_id")
    return [name for (name,) in rows]


def _only_study(studies: list[str]) -> str:
    if len(studies) == 1:
        return studies[0]
    if not studies:
        raise UnknownStudyError("this database has no study yet: start one with `hpo run`")
    raise QueryError(f"which study? Give --param study=NAME; this database has {', '.join(studies)}")


def _require_number(url: str, values: Mapping[str, Value]) -> None:
    sql = """
        SELECT max(t.number), count(CASE WHEN t.number = CAST(:number AS INTEGER) THEN 1 END)
        FROM trials AS t
        JOIN studies AS s ON s.study_id = t.study_id
        WHERE s.study_name = :study
    """
    study, number = values["study"], values["number"]
    _, rows = run_sql(url, sql, {"study": study, "number": number})
    ((last, found),) = rows
    if not found:
        raise unknown_trial(str(study), number, last)
