"""``hpo show``: one trial."""

from __future__ import annotations

from typing import Annotated

import typer

from hpo.cli.options import Json, Storage, storage_url


def show(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="The study's name.")],
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="The trial's number, from 0.", min=0)],
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Show one trial: settings, curve, findings, verdict."""
    from hpo.artifacts.store import find
    from hpo.cli.views.tables import results
    from hpo.cli.views.trial import as_json as trial_json
    from hpo.cli.views.trial import print_trial
    from hpo.queries.trial import trial_detail

    with results(storage_url(storage)) as engine:
        trial = trial_detail(engine, study, number)
    weights = find(trial.study_uid, number)
    if as_json:
        typer.echo(trial_json(trial, weights))
    else:
        print_trial(trial, weights)
