"""``hpo enqueue``: a known configuration in front of what is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hpo.cli.options import Storage, storage_url

if TYPE_CHECKING:
    from hpo.storage.studies import RegisteredStudy


def enqueue(
    study: Annotated[
        str,
        typer.Argument(metavar="STUDY", help="A study in the database; or a study file, which is submitted."),
    ],
    pairs: Annotated[
        list[str], typer.Argument(metavar="KEY=VALUE...", help="Hyperparameters and their values.")
    ],
    storage: Storage = None,
) -> None:
    """Put a known configuration in front: the next free worker trains it.

    It takes the place of the study's next draw. Searched hyperparameters that are not given are drawn.
    """
    from hpo.cli.console import printable, stdout
    from hpo.config.parsing.load import load_study, read_assignments
    from hpo.queue.slots import enqueue as put
    from hpo.reporting import formatting
    from hpo.storage.store import ResultsStore
    from hpo.workers.submit import submit

    # Nothing is written before all of it is known to be right.
    url = storage_url(storage)
    found = in_database(url, study)
    spec = found.spec if found else load_study(study)
    given = read_assignments(spec, pairs)
    with ResultsStore(url) as store:
        study_id = found.study_id if found else submit(store, spec).study_id
        slot, grown = put(store, study_id, given)
    place = "one more trial, as all others have begun" if grown else "in the place of its draw"
    stdout().print(printable(f"{spec.study}  slot {slot}: {formatting.hyperparameters(given)}  ({place})"))


def in_database(url: str, study: str) -> RegisteredStudy | None:
    """The study of that name, if there is a database and it has one."""
    from hpo.cli.views.tables import results
    from hpo.storage.schema import inspect_schema
    from hpo.storage.studies import find_registered

    if not inspect_schema(url).revision:
        return None
    with results(url) as engine:
        return find_registered(engine, study)
