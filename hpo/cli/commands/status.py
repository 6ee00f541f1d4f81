"""``hpo status``: progress of all studies, or one in detail."""

from __future__ import annotations

from typing import Annotated

import typer

from hpo.cli.options import Json, Storage, storage_url


def status(
    study: Annotated[
        str | None,
        typer.Argument(metavar="STUDY", help="The study's name. [default: all studies]"),
    ] = None,
    storage: Storage = None,
    as_json: Json = False,
    watch: Annotated[bool, typer.Option("--watch", help="Follow STUDY until it is done, or Ctrl-C.")] = False,
) -> None:
    """Show the progress of all studies, or one in detail.

    With --watch it shows what `hpo run` shows, from any machine that reaches the database; in a pipe it
    prints a line for each change.
    """
    from hpo.cli.console import print_json
    from hpo.cli.database import results
    from hpo.cli.views import study as study_page
    from hpo.queries.study import list_studies
    from hpo.storage.schema import inspect_schema

    url = storage_url(storage)
    if watch:
        _watch(url, study, as_json)
        return
    if study is None and inspect_schema(url).is_optunas_alone:
        if as_json:
            print_json(study_page.studies_as_dicts([], url))
        else:
            study_page.print_studies([], url)
        return
    with results(url) as engine:
        if study is None:
            summaries = list_studies(engine)
            if as_json:
                print_json(study_page.studies_as_dicts(summaries, url))
            else:
                study_page.print_studies(summaries, url)
        elif as_json:
            print_json(study_page.study_as_dict(engine, study))
        else:
            study_page.print_study(engine, study)


def _watch(url: str, study: str | None, as_json: bool) -> None:
    from hpo.cli.database import results
    from hpo.cli.views.watch import watch
    from hpo.errors import UserError
    from hpo.queries.study import list_studies

    if as_json:
        raise UserError(
            "--watch and --json exclude each other: a program can call `hpo status STUDY --json` repeatedly"
        )
    if study is None:
        with results(url) as engine:
            names = [summary.name for summary in list_studies(engine)]
        if len(names) != 1:
            known = f": {', '.join(names)}" if names else "; there are no studies yet"
            raise UserError(f"--watch needs the name of a study{known}")
        study = names[0]
    watch(url, study)
