"""``hpo export-study`` and ``hpo import-study``: a study as a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpo.cli.options import Json, Storage, storage_url

if TYPE_CHECKING:
    from hpo.maintenance.transfer.exporting import Moved


def export_study(
    study: Annotated[
        str, typer.Argument(metavar="STUDY", help="The study's name; any Optuna study will do.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Write to this file.")],
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Write a study to a file that `hpo import-study` puts into another database.

    Everything about it is in the file, Optuna's part too, as it was at one instant; workers may be at it.
    """
    from hpo.files import replacing_bytes
    from hpo.maintenance.transfer.exporting import export_study

    with replacing_bytes(output) as stream:
        moved = export_study(storage_url(storage), study, stream)
    if as_json:
        _print_json(moved, output)
        return
    size = f" ({output.stat().st_size:,} bytes)" if output.is_file() else ""
    _say(f"{_summary(moved)}  ->  {output}{size}")
    if moved.running:
        _say(
            f"{_trials(moved.running)} under way: the file has what is done, and an import waits for a worker"
        )


def import_study(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `hpo export-study` wrote.")],
    name: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="The study's name here, if not its old one.")
    ] = None,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Put a study from a file into the database, and hold every row of it to the file.

    All or nothing: a file that is damaged, or a name that is taken, leaves the database as it was.
    """
    from hpo.maintenance.transfer.importing import import_study

    moved = import_study(storage_url(storage), file, name)
    if as_json:
        _print_json(moved, file)
        return
    _say(f"{_summary(moved)}  <-  {file}")
    _say(f"read back from the database: all {sum(moved.rows.values()):,} rows are equal to the file's")
    if moved.running:
        _say(f"{_trials(moved.running)} under way when it was exported; here the next worker goes on with it")


def _summary(moved: Moved) -> str:
    from hpo.reporting import formatting

    states = ", ".join(f"{count:,} {_STATES.get(state, state)}" for state, count in moved.states.items())
    epochs = moved.rows.get("hpo_epoch.jsonl", 0)
    trials = formatting.count(moved.trials, "trial")
    return f"{moved.study}  {trials} ({states}), {formatting.count(epochs, 'epoch')}"


_STATES = {"fail": "failed"}


def _trials(count: int) -> str:
    return "1 trial was" if count == 1 else f"{count} trials were"


def _print_json(moved: Moved, file: Path) -> None:
    from dataclasses import asdict

    from hpo.cli.views.lines import to_json

    typer.echo(to_json({**asdict(moved), "file": str(file)}))


def _say(line: str) -> None:
    from hpo.cli.console import printable, stdout

    stdout().print(printable(line), soft_wrap=True)
