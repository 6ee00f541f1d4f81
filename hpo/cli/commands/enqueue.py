"""``hpo enqueue``: have a given configuration trained next."""

from __future__ import annotations

from typing import Annotated

import typer

from hpo.cli.options import Storage, storage_url


def enqueue(
    study: Annotated[
        str,
        typer.Argument(metavar="STUDY", help="A study in the database, or a study file to submit."),
    ],
    pairs: Annotated[
        list[str], typer.Argument(metavar="KEY=VALUE", help="Hyperparameters and their values.")
    ],
    storage: Storage = None,
) -> None:
    """Train a given configuration next, before the other trials.

    It takes the place of the study's next draw. Searched hyperparameters that are not given are drawn.
    """
    from hpo.cli.console import print_line
    from hpo.cli.database import find_in_database
    from hpo.config.parsing.load import load_study, read_assignments
    from hpo.queue import slots
    from hpo.reporting import formatting
    from hpo.storage.store import ResultsStore
    from hpo.workers.submit import submit_study

    # Validate everything before anything is written.
    url = storage_url(storage)
    found = find_in_database(url, study)
    spec = found.spec if found else load_study(study)
    given = read_assignments(spec, pairs)
    with ResultsStore(url) as store:
        study_id = found.study_id if found else submit_study(store, spec).study_id
        slot, grown = slots.enqueue(store, study_id, given)
    place = "an additional trial: all others have started" if grown else "in place of the next draw"
    print_line(f"{spec.study}  slot {slot}: {formatting.hyperparameters(given)}  ({place})")
