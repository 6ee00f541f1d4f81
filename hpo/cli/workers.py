"""``hpo workers``: who is there."""

from __future__ import annotations

from dataclasses import asdict

import typer

from hpo.cli.options import Json, Storage, storage_url


def workers(storage: Storage = None, as_json: Json = False) -> None:
    """List the worker processes of all machines: what each is at, and its last sign of life."""
    from rich.text import Text

    from hpo.cli.console import printable, stdout
    from hpo.cli.lines import to_json
    from hpo.cli.tables import results, table_that_fits
    from hpo.queue.presence import state_of
    from hpo.reporting import words
    from hpo.results.present import present_workers

    with results(storage_url(storage)) as engine:
        found = present_workers(engine)
    states = [state_of(each) for each in found]
    if as_json:
        typer.echo(
            to_json([{"state": state, **asdict(each)} for each, state in zip(found, states, strict=True)])
        )
        return
    if not found:
        stdout().print("no worker is there: hpo worker starts some, on any machine")
        return
    styles = {"dead": "red", "silent": "yellow", "at work": "cyan", "idle": "dim"}
    columns = {
        "worker": [Text(printable(each.worker)) for each in found],
        "state": [Text(state, styles[state]) for state in states],
        "study": [Text(printable(each.study or "–")) for each in found],
        "trial": [Text("–" if each.number is None else str(each.number)) for each in found],
        "last sign": [Text(f"{words.duration(each.silent_seconds)} ago") for each in found],
        "device": [Text(printable(each.device or "–")) for each in found],
        "tags": [Text(printable(", ".join(each.tags) or "–")) for each in found],
        "serves": [Text(printable(", ".join(each.serves) or "all")) for each in found],
    }
    console = stdout()
    left = ("worker", "state", "study", "last sign", "device", "tags", "serves")
    console.print(table_that_fits(columns, console.width, left=left))
