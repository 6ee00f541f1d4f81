"""``hpo enqueue``: a known configuration in front of what is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hpo.cli.options import Storage, storage_url

if TYPE_CHECKING:
    from hpo.queue.registered import RegisteredStudy
    from hpo.results.store import ResultsStore


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
    from hpo.queue.slots import enqueue as put
    from hpo.reporting import words
    from hpo.results.store import ResultsStore
    from hpo.spec.given import read_given

    with ResultsStore(storage_url(storage)) as store:
        found = _submitted(store, study)
        given = read_given(found.spec, pairs)
        slot, grown = put(store, found.study_id, given)
    place = "one more trial, as all others have begun" if grown else "in the place of its draw"
    stdout().print(printable(f"{found.spec.study}  slot {slot}: {words.settings(given)}  ({place})"))


def _submitted(store: ResultsStore, study: str) -> RegisteredStudy:
    from hpo.queue.registered import find_registered
    from hpo.spec.load import load_study
    from hpo.workers.submit import submit

    found = find_registered(store.engine, study)
    if found is None:
        spec = load_study(study)
        submit(store, spec)
        found = find_registered(store.engine, spec.study)
    assert found is not None
    return found
