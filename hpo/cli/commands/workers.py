"""``hpo workers``: list the workers of all machines."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from hpo.cli.options import Json, Storage, storage_url

if TYPE_CHECKING:
    from hpo.queries.workers import WorkerInfo

_HEALTHY = {"at work", "idle"}


def workers(
    storage: Storage = None,
    here: Annotated[
        bool,
        typer.Option(
            "--here", help="Only workers of this machine or container. Exit with 1 if none is healthy."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """List the worker processes on all machines.

    Each with its trial and its last heartbeat.
    """
    from hpo.cli.console import print_json, stdout
    from hpo.cli.database import results
    from hpo.queries.workers import list_workers, state_of
    from hpo.storage.identity import is_local

    with results(storage_url(storage)) as engine:
        found = [each for each in list_workers(engine) if not here or is_local(each.worker)]
    states = [state_of(each) for each in found]
    if as_json:
        print_json([{"state": state, **asdict(each)} for each, state in zip(found, states, strict=True)])
    elif not found:
        stdout().print("no workers: `hpo worker` starts some, on any machine")
    else:
        _print(found, states)
    if here and not set(states) & _HEALTHY:
        raise typer.Exit(1)


def _print(found: list[WorkerInfo], states: list[str]) -> None:
    from rich.text import Text

    from hpo.cli.console import printable, stdout
    from hpo.cli.views.tables import table_that_fits
    from hpo.reporting import formatting

    styles = {"dead": "red", "silent": "yellow", "at work": "cyan", "idle": "dim"}
    columns = {
        "worker": [Text(printable(each.worker)) for each in found],
        "state": [Text(state, styles[state]) for state in states],
        "study": [Text(printable(each.study or "–")) for each in found],
        "trial": [Text("–" if each.number is None else str(each.number)) for each in found],
        "heartbeat": [Text(f"{formatting.duration(each.silent_seconds)} ago") for each in found],
        "device": [Text(printable(each.device or "–")) for each in found],
        "tags": [Text(printable(", ".join(each.tags) or "–")) for each in found],
        "serves": [Text(printable(", ".join(each.serves) or "all")) for each in found],
    }
    console = stdout()
    left = ("worker", "state", "study", "heartbeat", "device", "tags", "serves")
    console.print(table_that_fits(columns, console.width, left=left))
