"""The library of ready questions: one documented file each in queries/, asked by name instead of SQL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from pathlib import Path

from hpo.config.suggestions import did_you_mean
from hpo.errors import QueryError, UnknownStudyError, UserError
from hpo.queries.sql import TIMEOUT_SECONDS, Parameters, Rows, Value, run_sql
from hpo.queries.sql_text import parameter_names
from hpo.storage.views import VIEWS

NAMES = (
    "best",
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
"""Every ready question, in the order in which they are listed."""

_FOLDER = Path(__file__).parent / "saved"
_PARAMETER = re.compile(r":(\w+) \((text|integer|number)(?:, default (.+))?\)\s+(\S.*)")
_NAME = re.compile(r"[A-Za-z][\w-]*")
_TYPES: dict[str, type[str] | type[int] | type[float]] = {"text": str, "integer": int, "number": float}
# A parameter of these names is a study's, also in anybody's own SQL.
_STUDY = "study"
_STUDY_NAMES = (_STUDY, "other")


@dataclass(frozen=True)
class Parameter:
    """What may be given to a question; without a ``default`` it must be."""

    name: str
    kind: str
    default: Value
    meaning: str

    def __str__(self) -> str:
        return self.name if self.default is None else f"{self.name}={self.default}"

    def read(self, value: Value) -> Value:
        """The value in the parameter's type; raises ``QueryError``."""
        try:
            return None if value is None else _TYPES[self.kind](value)
        except ValueError:
            raise QueryError(f":{self.name} is {value!r}, which is no {self.kind}: {self.meaning}") from None


@dataclass(frozen=True)
class Question:
    """A ready question; ``sql`` is its file, whose head says the rest."""

    name: str
    title: str
    parameters: tuple[Parameter, ...]
    sql: str


@cache
def question(name: str) -> Question:
    """The ready question of this name; raises ``QueryError`` with what was probably meant."""
    if name not in NAMES:
        raise QueryError(f"there is no ready question {name}: {_hint(name)}")
    sql = (_FOLDER / f"{name}.sql").read_text(encoding="utf-8")
    comment = takewhile(lambda line: line.startswith("--"), sql.splitlines())
    head = [line.removeprefix("--").strip() for line in comment]
    found = [match for line in head if (match := _PARAMETER.fullmatch(line))]
    return Question(name, head[0], tuple(_parameter(match) for match in found), sql)


def ask(
    url: str, sql_or_name: str, params: Parameters | None = None, timeout: float = TIMEOUT_SECONDS
) -> tuple[list[str], Rows]:
    """The columns and rows of a ready question or of SQL; as ``run_sql``, which has the details.

    ``:study`` need not be given where the database has one study. Raises ``UnknownStudyError`` for a study,
    and ``UserError`` for a trial's number, that a ready question is asked about in vain.
    """
    given = dict(params or {})
    if not _NAME.fullmatch(sql_or_name.strip()):
        wanted = parameter_names(sql_or_name)
        if _STUDY in wanted and _STUDY not in given:
            given[_STUDY] = _only_study(_studies(url))
        return run_sql(url, sql_or_name, given, timeout)
    ready = question(sql_or_name.strip())
    return run_sql(url, ready.sql, _fill(url, ready, given), timeout)


def _parameter(match: re.Match[str]) -> Parameter:
    name, kind, default, meaning = match.groups()
    return Parameter(name, kind, None if default is None else _TYPES[kind](default), meaning)


def _hint(name: str) -> str:
    if name in VIEWS:
        return f'{name} is a view, "SELECT * FROM {name}" shows it'
    hint = did_you_mean(name, NAMES)
    listed = "`hpo query --list` shows all; anything else is SQL"
    return f"{hint} {listed}" if hint else listed


def _fill(url: str, ready: Question, given: Mapping[str, Value]) -> dict[str, Value]:
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
    """An answer about a study or a trial that is not there would be empty without a word."""
    for name in _STUDY_NAMES:
        if name in values and values[name] not in studies:
            raise UnknownStudyError(_no_such_study(str(values[name]), studies))
    if "number" in values:
        _refuse_number(url, values)


def _listing(ready: Question) -> str:
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
        raise UnknownStudyError("this database has no study yet: begin one with `hpo run`")
    raise QueryError(f"which study? Give --param study=NAME; this database has {', '.join(studies)}")


def _no_such_study(name: str, studies: list[str]) -> str:
    hint = did_you_mean(name, studies)
    known = f"it has {', '.join(studies)}" if studies else "it has none yet"
    return f"there is no study {name} in this database: " + (
        f"{hint} {known.replace('it', 'It', 1)}" if hint else known
    )


def _refuse_number(url: str, values: Mapping[str, Value]) -> None:
    sql = """
        SELECT min(t.number), max(t.number), count(CASE WHEN t.number = CAST(:number AS INTEGER) THEN 1 END)
        FROM trials AS t
        JOIN studies AS s ON s.study_id = t.study_id
        WHERE s.study_name = :study
    """
    study, number = values["study"], values["number"]
    _, rows = run_sql(url, sql, {"study": study, "number": number})
    ((first, last, found),) = rows
    if not found:
        numbers = "none has begun yet" if last is None else f"its trials are {first} to {last}"
        raise UserError(f"study {study} has no trial {number}: {numbers}")
