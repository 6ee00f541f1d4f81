"""``hpo stop`` and ``hpo resume``: for all workers of a study, wherever they are."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from hpo.cli.options import Storage, storage_url

_LOOK_SECONDS = 0.5

_Study = Annotated[str, typer.Argument(metavar="STUDY", help="The study's name.")]


def stop(
    study: _Study,
    wait: Annotated[bool, typer.Option("--wait", help="Return when all workers have left.")] = False,
    storage: Storage = None,
) -> None:
    """Stop a study: its workers anywhere save their trials and leave; none begins before `hpo resume`."""
    from hpo.cli.views.tables import study_in_database
    from hpo.queue import control
    from hpo.reporting import formatting
    from hpo.storage.store import ResultsStore

    url = storage_url(storage)
    study_id = study_in_database(url, study)
    with ResultsStore(url) as store:
        said = "is stopped" if control.stop(store, study_id) else "was stopped already"
        left = control.at_work(store, study_id)
        if wait:
            while left:
                time.sleep(_LOOK_SECONDS)
                left = control.at_work(store, study_id)
    going = f"{formatting.count(left, 'worker')} will save and leave within seconds: hpo status {study}"
    typer.echo(f"{study} {said}; {going if left else 'nobody is at work on it'}")


def resume(study: _Study, storage: Storage = None) -> None:
    """Let workers go on with a study that `hpo stop` stopped."""
    from hpo.cli.views.tables import study_in_database
    from hpo.queue import control
    from hpo.storage.store import ResultsStore

    url = storage_url(storage)
    study_id = study_in_database(url, study)
    with ResultsStore(url) as store:
        resumed = control.resume(store, study_id)
    typer.echo(
        f"workers may go on with {study}: start them with hpo run"
        if resumed
        else f"{study} was not stopped; nothing was changed"
    )
