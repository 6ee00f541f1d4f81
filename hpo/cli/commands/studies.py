"""``hpo studies``: the studies in a database, and the bundled study files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpo.cli.options import Json, Storage, storage_url

if TYPE_CHECKING:
    from hpo.queries.study import StudySummary


def studies(
    name: Annotated[
        str | None,
        typer.Argument(metavar="BUNDLED", help="Print the file of this bundled study."),
    ] = None,
    bundled: Annotated[bool, typer.Option("--bundled", help="List the bundled studies instead.")] = False,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """List all studies with state, progress and best value.

    They are in the order in which workers serve them. --bundled lists the study files that come with hpo.
    """
    from hpo.config.parsing.source import bundled_text, require_bundled

    if name is not None:
        typer.echo(bundled_text(require_bundled(name)), nl=False)
    elif bundled:
        _list_bundled()
    else:
        _list_stored(storage_url(storage), as_json)


def _list_bundled() -> None:
    from rich.table import Table

    from hpo.cli.console import stdout
    from hpo.config.parsing.load import load_study
    from hpo.config.parsing.source import bundled_studies, bundled_text

    table = Table("study", "trials", "what it shows", box=None, header_style="dim", pad_edge=False)
    table.columns[1].justify = "right"
    for study in bundled_studies():
        table.add_row(study, str(load_study(study).trials), _headline(bundled_text(study)))
    stdout().print(table)


def _headline(text: str) -> str:
    """Return the first line of a study file's head comment."""
    comments = (line.removeprefix("#").strip() for line in text.splitlines() if line.startswith("#"))
    return next(filter(None, comments), "")


def _list_stored(url: str, as_json: bool) -> None:
    from hpo.cli.console import print_json, stdout
    from hpo.cli.database import hint_of_lost_log, results
    from hpo.queries.study import list_studies
    from hpo.stages.store import slots_to_come
    from hpo.storage.engine import reading

    with results(url) as engine, reading(engine) as connection:
        found = [_row(each, slots_to_come(connection, each.study_id)) for each in list_studies(engine)]
    found.sort(key=lambda each: (each["state"] == "done", -each["priority"]))
    if as_json:
        print_json(found)
    elif not found:
        more = f"`hpo studies --bundled` lists more{hint_of_lost_log(url)}"
        stdout().print(f"no studies yet: `hpo run quickstart` starts one; {more}", soft_wrap=True)
    else:
        _print(found)


def _row(summary: StudySummary, to_come: int) -> dict[str, Any]:
    total = summary.trials + to_come
    state = "waiting"
    if summary.done >= total:
        state = "done"
    elif summary.stopped_at is not None:
        state = "stopped"
    elif summary.running:
        state = "running"
    return {
        "study": summary.name,
        "state": state,
        "priority": summary.priority,
        "done": summary.done,
        "trials": total,
        "running": summary.running,
        "best_value": summary.best_value,
        "beyond_limit": summary.beyond_limit,
        "objective": summary.objective,
        "direction": summary.direction,
        "dataset": summary.dataset or None,
        "created_at": summary.created_at,
    }


def _print(found: list[dict[str, Any]]) -> None:
    from rich.text import Text

    from hpo.cli.console import printable, stdout
    from hpo.cli.views.tables import table_that_fits
    from hpo.config.objective import Objective

    console = stdout()
    styles = {"running": "cyan", "stopped": "yellow", "done": "green", "waiting": "dim"}
    columns = {
        "study": [Text(printable(each["study"]), "bold") for each in found],
        "state": [Text(each["state"], styles[each["state"]]) for each in found],
        "priority": [Text(str(each["priority"])) for each in found],
        "done": [Text(f"{each['done']}/{each['trials']}") for each in found],
        "running": [Text(str(each["running"])) for each in found],
        "best": [Text(Objective(each["objective"]).text(each["best_value"])) for each in found],
        "data": [Text(printable(each["dataset"] or "–")) for each in found],
        "submitted (UTC)": [Text(f"{each['created_at']:%Y-%m-%d %H:%M}") for each in found],
    }
    console.print(table_that_fits(columns, console.width, left=("study", "state", "data", "submitted (UTC)")))
