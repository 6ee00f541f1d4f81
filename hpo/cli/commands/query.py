"""``hpo query``: SQL or a saved query over all results."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpo.cli.options import OutputFile, Storage, storage_url
from hpo.errors import UserError

if TYPE_CHECKING:
    from hpo.queries.result_kinds import Kind


class Format(StrEnum):
    """Formats of the rows."""

    table = "table"
    json = "json"
    csv = "csv"
    markdown = "markdown"
    parquet = "parquet"


_SUFFIXES = {
    ".txt": Format.table, ".json": Format.json, ".csv": Format.csv, ".md": Format.markdown,
    ".parquet": Format.parquet,
}  # fmt: skip


def query(
    sql: Annotated[
        str | None,
        typer.Argument(metavar="SQL|NAME", help="A read-only SQL statement, or the name of a saved query."),
    ] = None,
    list_queries: Annotated[bool, typer.Option("--list", help="List the saved queries.")] = False,
    show: Annotated[
        bool, typer.Option("--show", help="Print the SQL of a saved query instead of running it.")
    ] = False,
    params: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", metavar="NAME=VALUE", help="The value of :NAME. Can be repeated."),
    ] = None,
    output_format: Annotated[
        Format | None,
        typer.Option(
            "--format",
            help="Format of the rows. [default: by the suffix of FILE, else table]",
            show_default=False,
        ),
    ] = None,
    output: OutputFile = None,
    timeout: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="Give up after this time.")
    ] = 30.0,
    storage: Storage = None,
) -> None:
    """Query the results with SQL or a saved query.

    The views are results (one row a trial, each hyperparameter a column), curves, findings, layers, attempts,
    leaderboard, tradeoffs, and params (of every Optuna study in the database).
    """
    from hpo.cli.views.rows import parameters
    from hpo.queries.saved_queries import query_kinds, run_query, saved_query

    wanted = output_format or _format_of(output)
    if list_queries:
        _write_list(wanted, output)
        return
    if sql is None:
        raise UserError('expected SQL (hpo query "SELECT ...") or a name from `hpo query --list`')
    if show:
        sys.stdout.write(saved_query(sql).sql)
        return
    url, values = storage_url(storage), parameters(params or [])
    columns, rows = run_query(url, sql, values, timeout)
    with closing(rows):
        kinds = query_kinds(url, sql, values) if wanted is Format.parquet else []
        _write(wanted, output, columns, rows, kinds)


def _format_of(output: Path | None) -> Format:
    if output is None or not output.suffix:
        return Format.table
    try:
        return _SUFFIXES[output.suffix.lower()]
    except KeyError:
        known = ", ".join(_SUFFIXES)
        raise UserError(
            f"{output}: unknown format {output.suffix}; use one of {known}, or --format"
        ) from None


def _write_list(wanted: Format, output: Path | None) -> None:
    from rich.text import Text

    from hpo.cli.console import stdout
    from hpo.cli.views.tables import table_that_fits
    from hpo.queries.saved_queries import NAMES, saved_query

    listed = [
        (each.name, each.title, " ".join(map(str, each.parameters))) for each in map(saved_query, NAMES)
    ]
    header = ["name", "question", "parameters"]
    if wanted is not Format.table or output is not None:
        _write(wanted, output, header, iter(listed), ["text"] * len(header))
        return
    console = stdout()
    columns = {name: [Text(row[i]) for row in listed] for i, name in enumerate(header)}
    console.print(table_that_fits(columns, console.width, left=header))


def _write(
    wanted: Format,
    output: Path | None,
    columns: Sequence[str],
    rows: Iterator[tuple[Any, ...]],
    kinds: Sequence[Kind | None],
) -> None:
    if wanted is Format.parquet:
        _write_parquet(output, columns, rows, kinds)
        return
    from hpo.cli.console import data_output
    from hpo.cli.views.rows import WRITERS
    from hpo.files import replacing

    writer = WRITERS[wanted.value]
    if output is None:
        writer(sys.stdout if wanted is Format.table else data_output(), columns, rows)
        return
    with replacing(output) as file:
        writer(file, columns, rows)


def _write_parquet(
    output: Path | None,
    columns: Sequence[str],
    rows: Iterator[tuple[Any, ...]],
    kinds: Sequence[Kind | None],
) -> None:
    from hpo.cli.views.parquet import write_parquet
    from hpo.files import replacing_bytes

    if output is not None:
        with replacing_bytes(output) as file:
            write_parquet(file, columns, rows, kinds)
        return
    if sys.stdout.isatty():
        raise UserError("parquet cannot be shown on a terminal: add -o FILE, or > FILE")
    write_parquet(sys.stdout.buffer, columns, rows, kinds)
