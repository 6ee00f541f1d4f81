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
    watch: Annotated[
        bool, typer.Option("--watch", help="Show STUDY as it goes on, until it is over or Ctrl-C.")
    ] = False,
) -> None:
    """Show how far studies are: all of them, or one in detail.

    With --watch, what `hpo run` shows, from any machine that reaches the database; in a pipe, a line for
    each change.
    """
    from hpo.cli.views import study as study_page
    from hpo.cli.views.tables import results
    from hpo.queries.study import list_studies
    from hpo.storage.schema import inspect_schema

    url = storage_url(storage)
    if watch:
        _watch(url, study, as_json)
        return
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


def _watch(url: str, study: str | None, as_json: bool) -> None:
    from hpo.cli.views.tables import results
    from hpo.cli.views.watch import watch
    from hpo.errors import UserError
    from hpo.queries.study import list_studies

    if as_json:
        raise UserError(
            "--watch is for people: a program asks `hpo status STUDY --json` when it wants to know"
        )
    if study is None:
        with results(url) as engine:
            names = [summary.name for summary in list_studies(engine)]
        if len(names) != 1:
            there = f": there are {', '.join(names)}" if names else ", of which there are none yet"
            raise UserError(f"--watch needs the name of a study{there}")
        study = names[0]
    watch(url, study)
