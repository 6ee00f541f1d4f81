"""What ``hpo status`` shows: all studies in a table, or one with its workers, its best and its failures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table
from rich.text import Text
from sqlalchemy import Engine

from hpo.cli.console import printable, stdout
from hpo.cli.lines import to_json
from hpo.cli.live import STATE_STYLES
from hpo.cli.tables import leaderboard_table, plain_table, print_unwell, unwell
from hpo.reporting import words
from hpo.results.query import StudySummary, WorkerStatus, leaderboard, list_studies, study_status

_STATES = ("running", "waiting", "complete", "pruned", "failed")


def print_studies(engine: Engine) -> None:
    """Every study, one a line."""
    console = stdout()
    summaries = list_studies(engine)
    console.print(
        _studies_table(summaries) if summaries else "no studies yet: `hpo run quickstart` begins one"
    )


def print_study(engine: Engine, url: str, name: str) -> None:
    """One study: its counts, who works on it, the leaderboard, and what did not go well."""
    console = stdout()
    found = study_status(engine, name)
    console.print(_studies_table([found.summary]))
    if found.workers:
        console.print()
        console.print(_workers_table(found.workers))
    leaders = leaderboard(engine, name)
    if leaders:
        console.print()
        console.print(leaderboard_table(leaders, console))
    print_unwell(console, unwell(url, name))


def as_json(engine: Engine, url: str, name: str | None) -> str:
    """The same for programs."""
    if name is None:
        return to_json([_as_dict(summary) for summary in list_studies(engine)])
    found = study_status(engine, name)
    return to_json(
        {
            **_as_dict(found.summary),
            "best_number": found.best_number,
            "workers": [asdict(worker) for worker in found.workers],
            "leaderboard": [asdict(leader) for leader in leaderboard(engine, name)],
            "unwell": [asdict(failure) for failure in unwell(url, name)],
        }
    )


def _as_dict(summary: StudySummary) -> dict[str, Any]:
    return {**asdict(summary), "done": summary.done, "trials": summary.trials}


def _studies_table(summaries: Sequence[StudySummary]) -> Table:
    numbers = ("done", *_STATES, "best")
    table = plain_table("study", *numbers, "data", "begun (UTC)", right=numbers)
    for each in summaries:
        counts = {state: getattr(each, state) for state in _STATES}
        table.add_row(
            Text(printable(each.name), "bold"),
            f"{each.done}/{each.trials}",
            *(Text(str(count), STATE_STYLES[state] if count else "dim") for state, count in counts.items()),
            words.accuracy(each.best_value),
            Text(printable(each.dataset)),
            f"{each.created_at:%Y-%m-%d %H:%M}",
        )
    return table


def _workers_table(workers: Sequence[WorkerStatus]) -> Table:
    table = plain_table("worker", "trial", "epochs done", "lease", right=("trial", "epochs done"))
    for worker in workers:
        left = worker.lease_seconds_left
        lease = Text(f"{left:.0f} s left") if left > 0 else Text("over: another may take the trial", "yellow")
        number = "–" if worker.number is None else str(worker.number)
        table.add_row(Text(printable(worker.worker)), number, str(worker.epoch), lease)
    return table
