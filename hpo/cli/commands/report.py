"""``hpo report``: a study as a page to share; or, inside a trial, the metrics of an epoch."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hpo.cli.options import Storage, storage_url
from hpo.config.command import trial_variable
from hpo.errors import HpoError, UserError

if TYPE_CHECKING:
    from hpo.reporting.report.build import BuiltReport

_NOT_A_NAME = re.compile(r"[^A-Za-z0-9._-]+")


def report(
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="STUDY|METRIC=VALUE...",
            help="The name of a study of hpo or Optuna; in a command that trains a trial, its metrics.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="The file to write. [default: STUDY-report.html, or .md]"
        ),
    ] = None,
    form: Annotated[
        Literal["html", "md"] | None,
        typer.Option(
            "--format",
            help="html: one self-contained file; md: Markdown. [default: by the ending of FILE, or html]",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing files.")] = False,
    pictures: Annotated[
        bool, typer.Option(help="With md: write pictures to a folder next to the file.")
    ] = True,
    storage: Storage = None,
    epoch: Annotated[
        int | None,
        typer.Option(
            "--epoch",
            metavar="N",
            help="With metrics: the epoch that they are of, from 1. [default: the one after the last]",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write a report on a study as HTML or Markdown.

    It covers the setup, the results with their confidence, and what failed and why. The HTML page is
    self-contained: share it, print it, archive it. It follows the reader's light or dark
    theme. The study may still be running.

    A command that trains a trial reports its metrics in each epoch, in place of lines of JSON:
    `hpo report val_accuracy=0.91 --epoch 3` (docs/study-files.md).
    """
    if _are_metrics(what, epoch):
        from hpo.trainer.metric_lines import report_metrics

        report_metrics(what, epoch)
        return
    if len(what) > 1:
        raise UserError(f"one study at a time: {' '.join(what)}")
    study = what[0]
    from hpo.cli.console import print_line
    from hpo.reporting.figures import give_matplotlib_a_folder

    give_matplotlib_a_folder()
    from hpo.reporting.report.build import make_report

    wanted = form or (
        "md" if output is not None and output.suffix.lower() in (".md", ".markdown") else "html"
    )
    place = output or Path(f"{file_name(study)}-report.{wanted}")
    folder = place.parent / f"{place.stem}-pictures"
    with_folder = wanted == "md" and pictures
    _refuse_existing(place, folder if with_folder else None, force)
    try:
        built = make_report(storage_url(storage), study, wanted, folder.name if with_folder else "")
    except HpoError as error:
        if "=" not in study:
            raise
        raise UserError(f"{error}\n  metrics are reported by a command that trains a trial") from None
    _write(built, place, folder)
    pictures_in = f", pictures in {folder}" if built.pictures else ""
    print_line(f"{place}  ({len(built.text.encode()) / 1000:,.0f} kB{pictures_in})")


def _are_metrics(what: list[str], epoch: int | None) -> bool:
    """Whether metrics of a trial were given: a study's name may have a = only outside of trials."""
    return epoch is not None or (
        trial_variable("trial.metrics") in os.environ and all("=" in each for each in what)
    )


def file_name(study: str) -> str:
    """Return the study's name as a part of a file name: without folders and special characters of a shell."""
    return _NOT_A_NAME.sub("-", study).strip("-.")[:100] or "study"


def _refuse_existing(place: Path, folder: Path | None, force: bool) -> None:
    """Raise ``UserError`` for a file that cannot be written, before the report is drawn."""
    if place.is_dir():
        raise UserError(f"{place} is a folder: choose a file in it with -o")
    if not place.parent.is_dir():
        raise UserError(f"cannot write {place}: the folder {place.parent} does not exist")
    for each in (place, folder):
        if each is not None and each.exists() and not force and (each.is_file() or each.is_dir()):
            raise UserError(
                f"{each} already exists: choose another file with -o, or overwrite it with --force"
            )


def _write(built: BuiltReport, place: Path, folder: Path) -> None:
    from hpo.files import write_text

    if built.pictures:
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot write {folder}: {error.strerror or error}") from None
        for name, svg in built.pictures.items():
            write_text(folder / name, svg)
    write_text(place, built.text)
