"""``hpo report``: a study as a page to send."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hpo.cli.options import Storage, storage_url
from hpo.errors import UserError

if TYPE_CHECKING:
    from hpo.reporting.report.build import Made

_NOT_A_NAME = re.compile(r"[^A-Za-z0-9._-]+")


def report(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="The study's name; one of Optuna's, too.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where to. [default: STUDY-report.html, or .md]"),
    ] = None,
    form: Annotated[
        Literal["html", "md"] | None,
        typer.Option(
            "--format",
            help="html: one file with everything in it; md: for a repository. [default: html, or by FILE]",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
    pictures: Annotated[
        bool, typer.Option(help="With --format md: pictures in a folder beside the file.")
    ] = True,
    storage: Storage = None,
) -> None:
    """Write a report on a study: what was asked, what was found and how sure that is, what failed and why.

    The HTML page asks nobody for anything: it can be sent, printed and kept, and is light or dark as its
    reader likes it. A study that is under way has one too.
    """
    from hpo.cli.console import stdout
    from hpo.reporting.formatting import printable
    from hpo.reporting.report.build import make_report

    wanted = form or (
        "md" if output is not None and output.suffix.lower() in (".md", ".markdown") else "html"
    )
    place = output or Path(f"{file_name(study)}-report.{wanted}")
    folder = place.with_name(f"{place.stem}-pictures")
    with_folder = wanted == "md" and pictures
    _refuse_what_is_there(place, folder if with_folder else None, force)
    made = make_report(storage_url(storage), study, wanted, folder.name if with_folder else "")
    _write(made, place, folder)
    beside = f", pictures in {folder}" if made.pictures else ""
    stdout().print(printable(f"{place}  ({len(made.text.encode()) / 1000:,.0f} kB{beside})"), soft_wrap=True)


def file_name(study: str) -> str:
    """A study's name as a part of a file's name: no folder, nothing that a shell would act on."""
    return _NOT_A_NAME.sub("-", study).strip("-.")[:100] or "study"


def _refuse_what_is_there(place: Path, folder: Path | None, force: bool) -> None:
    """Before anything is read: drawing takes seconds."""
    if place.is_dir():
        raise UserError(f"{place} is a folder: name a file in it with -o")
    if not place.parent.is_dir():
        raise UserError(f"cannot write {place}: there is no folder {place.parent}")
    for each in (place, folder):
        if each is not None and each.exists() and not force and (each.is_file() or each.is_dir()):
            raise UserError(f"{each} is there already: name another file with -o, or replace it with --force")


def _write(made: Made, place: Path, folder: Path) -> None:
    from hpo.files import write_text

    if made.pictures:
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot write {folder}: {error.strerror or error}") from None
        for name, svg in made.pictures.items():
            write_text(folder / name, svg)
    write_text(place, made.text)
