"""A scanner for SQL: parameters, function calls and the kind of statement, before it runs."""

from __future__ import annotations

import re
from collections.abc import Callable

from hpo.config.suggestions import did_you_mean
from hpo.errors import QueryError
from hpo.storage.views import VIEWS

ONE_STATEMENT = "hpo query takes one statement at a time"


def too_slow(timeout: float) -> QueryError:
    """Return the error for a statement that exceeded the time limit."""
    return QueryError(
        f"the query did not finish within {timeout:g} s: narrow it down, or raise the time limit"
    )


def unknown_name_hint(name: str, known: list[str]) -> str:
    """Return the hint that follows an error about an unknown table or column."""
    if name in (*VIEWS, "studies", "trials"):
        return " (hpo creates it when a study is first run with this database)"
    hint = did_you_mean(name, known)
    return f" ({hint})" if hint else ""


ONLY_READS = "hpo query only reads: use one SELECT, WITH, VALUES or EXPLAIN that changes nothing"
_READS = ("SELECT", "WITH", "VALUES", "EXPLAIN", "TABLE")
_TOKEN = re.compile(
    r"""
      (?P<comment> --[^\n\r]* | /\*.*?\*/ )
    | (?P<string> '(?:[^']|'')*' | \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$ )
    | "(?P<quoted> (?:[^"]|"")* )"
    | (?P<cast> :: )
    | :(?P<parameter> [A-Za-z_]\w* )
    | (?P<word> [^\W\d][\w$]* )
    | (?P<other> \S )
    """,
    re.DOTALL | re.VERBOSE,
)
# Forms whose end only PostgreSQL can determine, so that a call could hide behind them.
_UNCLEAR = (
    (re.compile(r"[eE]'"), "E'...' strings: write the character itself, or chr(10) for a newline"),
    (re.compile(r"""[uU]&['"]"""), "U& strings and names: write the character itself"),
)


def refuse_writes(sql: str) -> None:
    """Raise ``QueryError`` unless the statement's first keyword is one of a read."""
    for token in _TOKEN.finditer(sql):
        if token["comment"] is None and token["other"] != "(":
            if (token["word"] or "").upper() in _READS:
                return
            break
    raise QueryError(ONLY_READS)


def parameter_names(sql: str) -> list[str]:
    """Return the parameter names after a colon, in the order of their first use; ``::`` is a cast."""
    return list(dict.fromkeys(token["parameter"] for token in _TOKEN.finditer(sql) if token["parameter"]))


def replace_parameters(sql: str, write: Callable[[str], str]) -> str:
    """Return the statement with each ``:name`` replaced by ``write(name)``."""
    return _TOKEN.sub(lambda token: write(token["parameter"]) if token["parameter"] else token.group(), sql)


def called_functions(sql: str) -> set[str]:
    """Return every name followed by a parenthesis, as PostgreSQL looks it up: functions, and some keywords.

    Raises ``QueryError`` for syntax in which a call cannot be recognized for certain.
    """
    names = set()
    name: str | None = None
    for token in _TOKEN.finditer(sql):
        _refuse_unclear(sql, token)
        if token["comment"] is not None:
            continue
        if token["other"] == "(" and name is not None:
            names.add(name)
        name = _name(token)
    return names


def _name(token: re.Match[str]) -> str | None:
    if token["quoted"] is not None:
        return token["quoted"].replace('""', '"')
    return token["word"].lower() if token["word"] else None


def _refuse_unclear(sql: str, token: re.Match[str]) -> None:
    if "/*" in (token["comment"] or "")[2:]:
        raise QueryError("hpo query does not accept a comment inside a comment")
    for pattern, what in _UNCLEAR:
        if token["word"] and pattern.match(sql, token.start()):
            raise QueryError(f"hpo query does not accept {what}")
