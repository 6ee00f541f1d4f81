"""``hpo query``: SQL over all results."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hpo.cli.options import Storage, storage_url


class Format(StrEnum):
    """How rows are written."""

    table = "table"
    json = "json"
    csv = "csv"
    markdown = "markdown"


def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One statement that only reads.")],
    output_format: Annotated[Format, typer.Option("--format", help="How to write the rows.")] = Format.table,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to this file.")
    ] = None,
    params: Annotated[
        list[str] | None,
        typer.Option("--param", metavar="NAME=VALUE", help="The value of :NAME in the SQL; may be repeated."),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="Give up after so many seconds.")
    ] = 30.0,
    storage: Storage = None,
) -> None:
    """Ask the database in SQL.

    The views are results (one row a trial, each hyperparameter a column), curves, findings, layers, attempts,
    leaderboard, and params (of every Optuna study in the database).
    """
    from hpo.cli.files import replacing
    from hpo.cli.rows import WRITERS, parameters
    from hpo.results.ad_hoc import run_sql

    columns, rows = run_sql(storage_url(storage), sql, parameters(params or []), timeout)
    writer = WRITERS[output_format.value]
    if output is None:
        writer(sys.stdout, columns, rows)
    else:
        with replacing(output) as file:
            writer(file, columns, rows)
