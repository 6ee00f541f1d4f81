"""``hpo studies``: what is bundled."""

from __future__ import annotations

from typing import Annotated

import typer


def studies(
    name: Annotated[str | None, typer.Argument(help="Print this study's file.", show_default=False)] = None,
) -> None:
    """List the bundled studies, or print the file of one."""
    from rich.table import Table

    from hpo.cli.console import stdout
    from hpo.spec.load import load_study
    from hpo.spec.source import bundled_studies, bundled_text, require_bundled

    if name is not None:
        typer.echo(bundled_text(require_bundled(name)), nl=False)
        return
    table = Table("study", "trials", "what it shows", box=None, header_style="dim", pad_edge=False)
    table.columns[1].justify = "right"
    for study in bundled_studies():
        table.add_row(study, str(load_study(study).trials), _headline(bundled_text(study)))
    stdout().print(table)


def _headline(text: str) -> str:
    """The first sentence of a study's head comment."""
    comments = (line.removeprefix("#").strip() for line in text.splitlines() if line.startswith("#"))
    return next((line for line in comments if line and not line.startswith("yaml-language-server")), "")
