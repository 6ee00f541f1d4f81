"""``hpo stop`` and ``hpo resume``: for all workers of a study, on all machines."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from hpo.cli.options import Storage, StudyName, storage_url

_POLL_SECONDS = 0.5


def stop(
    study: StudyName,
    wait: Annotated[bool, typer.Option("--wait", help="Return when all workers have stopped.")] = False,
    storage: Storage = None,
) -> None:
    """Stop a study on all machines; its trials are saved.

    Its workers save and release their trials within seconds. `hpo resume` undoes it.
    """
    from hpo.cli.database import study_in_database
    from hpo.queue import control
    from hpo.reporting import formatting
    from hpo.storage.store import ResultsStore

    url = storage_url(storage)
    study_id = study_in_database(url, study)
    with ResultsStore(url) as store:
        state = "is stopped" if control.stop(store, study_id) else "was already stopped"
        left = control.at_work(store, study_id)
        if wait:
            while left:
                time.sleep(_POLL_SECONDS)
                left = control.at_work(store, study_id)
    workers = formatting.counted(left, "worker")
    rest = f"{workers} will save and stop within seconds: hpo status {study}" if left else "no worker runs it"
    typer.echo(f"{study} {state}; {rest}")


def resume(study: StudyName, storage: Storage = None) -> None:
    """Resume a study that `hpo stop` stopped.

    Workers can train its trials again; this command starts none.
    """
    from hpo.cli.database import study_in_database
    from hpo.queue import control
    from hpo.storage.store import ResultsStore

    url = storage_url(storage)
    study_id = study_in_database(url, study)
    with ResultsStore(url) as store:
        resumed = control.resume(store, study_id)
    typer.echo(
        f"{study} is resumed: workers may train it again; `hpo run` starts some"
        if resumed
        else f"{study} was not stopped: nothing has changed"
    )
