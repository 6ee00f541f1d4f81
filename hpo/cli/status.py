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
    from hpo.results.query import list_studies
    from hpo.results.schema import inspect_schema

    url = storage_url(storage)
    if study is None and inspect_schema(url).is_optunas_alone:
        if as_json:
            typer.echo(study_page.all_as_json([], url))
        else:
            study_page.print_studies([], url)
        return
    with results(url) as engine:
        if study is None:
            summaries = list_studies(engine)
            if as_json:
                typer.echo(study_page.all_as_json(summaries, url))
            else:
                study_page.print_studies(summaries, url)
        elif as_json:
            typer.echo(study_page.as_json(engine, study))
        else:
            study_page.print_study(engine, study)
