"""What both databases' ad hoc queries answer in the same words."""

from __future__ import annotations

import difflib

from hpo.errors import QueryError
from hpo.results.view_sql import VIEWS

ONE_STATEMENT = "hpo query takes one statement at a time"


def too_slow(timeout: float) -> QueryError:
    """Time is up."""
    return QueryError(f"no end within {timeout:g} s: narrow the query down, or allow it more time")


def nearest(name: str, known: list[str]) -> str:
    """What to say after an unknown table or column."""
    if name in (*VIEWS, "studies", "trials"):
        return " (hpo makes it when a study is first run with this database)"
    close = difflib.get_close_matches(name, known, n=3)
    return f" (did you mean {', '.join(close)}?)" if close else ""
