"""``hpo export-study`` and ``hpo import-study``: move a study as a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpo.cli.options import Json, Storage, storage_url
from hpo.text import counted

if TYPE_CHECKING:
    from hpo.maintenance.transfer.exporting import Moved


def export_study(
    study: Annotated[
        str, typer.Argument(metavar="STUDY", help="The study's name; it can be any Optuna study.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Write to this file.")],
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Write a study to a file for another database.

    The file holds everything about the study, Optuna's part too, as of one instant; workers may be running
    it. `hpo import-study` reads the file.
    """
    from dataclasses import asdict

    from hpo.cli.console import print_json, print_line
    from hpo.files import replacing_bytes
    from hpo.maintenance.transfer.exporting import export_study

    with replacing_bytes(output) as stream:
        moved = export_study(storage_url(storage), study, stream)
    if as_json:
        print_json({**asdict(moved), "file": str(output)})
        return
    size = f" ({counted(output.stat().st_size, 'byte')})" if output.is_file() else ""
    print_line(f"{_summary(moved)}  ->  {output}{size}")
    if moved.running:
        print_line(
            f"{_trials(moved.running)} running: the file has all epochs so far, and an import can resume"
        )


def import_study(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `hpo export-study` wrote.")],
    name: Annotated[
        str | None,
        typer.Option(
            "--as",
            metavar="NAME",
            help="The study's name in this database. [default: its name in the file]",
            show_default=False,
        ),
    ] = None,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Import a study that `hpo export-study` wrote.

    It reads every row back and compares it with the file. All or nothing: a damaged file, or a name that is
    taken, leaves the database unchanged.
    """
    from dataclasses import asdict

    from hpo.cli.console import print_json, print_line
    from hpo.maintenance.transfer.importing import import_study

    moved = import_study(storage_url(storage), file, name)
    if as_json:
        print_json({**asdict(moved), "file": str(file)})
        return
    print_line(f"{_summary(moved)}  <-  {file}")
    print_line(
        "read back from the database: all "
        f"{counted(sum(moved.rows.values()), 'row matches', 'rows match')} the file"
    )
    if moved.running:
        print_line(f"{_trials(moved.running)} running at the export; the next worker resumes")


def _summary(moved: Moved) -> str:
    from hpo.reporting import formatting

    states = ", ".join(f"{count:,} {_STATES.get(state, state)}" for state, count in moved.states.items())
    epochs = moved.rows.get("hpo_epoch.jsonl", 0)
    trials = formatting.counted(moved.trials, "trial")
    return f"{moved.study}  {trials} ({states}), {formatting.counted(epochs, 'epoch')}"


_STATES = {"fail": "failed"}


def _trials(count: int) -> str:
    return counted(count, "trial was", "trials were")
