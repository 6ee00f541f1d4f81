"""``hpo status``: how far studies are."""

from __future__ import annotations

from typing import Annotated

import typer

from hpo.cli.options import Json, Storage, storage_url


def status(
    study: Annotated[
        str | None, typer.Argument(metavar="[STUDY]", help="Show one study in detail.", show_default=False)
    ] = None,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Show how far studies are: all of them, or one in detail."""
    from hpo.cli import study_page
    from hpo.cli.tables import results

    with results(storage_url(storage)) as engine:
        if as_json:
            typer.echo(study_page.as_json(engine, study))
        elif study is None:
            study_page.print_studies(engine)
        else:
            study_page.print_study(engine, study)
