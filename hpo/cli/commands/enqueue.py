"""``hpo enqueue``: have a given configuration trained next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hpo.cli.options import Storage, storage_url

if TYPE_CHECKING:
    from hpo.storage.studies import RegisteredStudy


def enqueue(
    study: Annotated[
        str,
        typer.Argument(metavar="STUDY", help="A study in the database, or a study file to submit."),
    ],
    pairs: Annotated[
        list[str], typer.Argument(metavar="KEY=VALUE...", help="Hyperparameters and their values.")
    ],
    storage: Storage = None,
) -> None:
    """Have a given configuration trained next, in place of the study's next draw.

    Searched hyperparameters that are not given are drawn.
    """
    from hpo.cli.console import printable, stdout
    from hpo.config.parsing.given import read_given
    from hpo.config.parsing.load import load_study
    from hpo.queue import slots
    from hpo.reporting import formatting
    from hpo.storage.store import ResultsStore
    from hpo.workers.submit import submit_study

    # Validate everything before anything is written.
    url = storage_url(storage)
    found = in_database(url, study)
    spec = found.spec if found else load_study(study)
    given = read_given(spec, pairs)
    with ResultsStore(url) as store:
        study_id = found.study_id if found else submit_study(store, spec).study_id
        slot, grown = slots.enqueue(store, study_id, given)
    place = "an additional trial: all others have started" if grown else "in place of the next draw"
    stdout().print(printable(f"{spec.study}  slot {slot}: {formatting.hyperparameters(given)}  ({place})"))


def in_database(url: str, study: str) -> RegisteredStudy | None:
    """Return the study of that name, or None if there is no database or no such study."""
    from hpo.cli.views.tables import results
    from hpo.storage.schema import inspect_schema
    from hpo.storage.studies import find_registered

    if not inspect_schema(url).revision:
        return None
    with results(url) as engine:
        return find_registered(engine, study)
