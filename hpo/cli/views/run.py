"""A run from its first event to what is said at its end."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeAlias

from hpo.cli.console import stdout
from hpo.cli.views.diagnosis import as_dict
from hpo.cli.views.lines import JsonLines, Lines
from hpo.cli.views.live import LiveView
from hpo.cli.views.progress import Progress
from hpo.cli.views.run_end import print_ending, print_ending_without_database
from hpo.cli.views.stages import as_dict as stages_as_dict
from hpo.cli.views.tables import results
from hpo.errors import StorageError
from hpo.events import Event, RunSummary, StudyReady
from hpo.queries.study import leaderboard, study_status

Emit: TypeAlias = Callable[[Event], None]
Runner: TypeAlias = Callable[[Emit], RunSummary]


def run_for_people(runner: Runner, url: str) -> RunSummary:
    """Run with a live view on a terminal, with plain lines elsewhere; then print the ending."""
    progress = Progress()
    console = stdout()
    if console.is_terminal:
        with LiveView(console, progress) as view:
            summary = runner(_with_earlier_trials(view.show, progress, url))
    else:
        summary = runner(_with_earlier_trials(Lines(sys.stdout, progress).show, progress, url))
    command = ["hpo", *sys.argv[1:]]
    try:
        with results(url) as engine:
            print_ending(console, engine, url, summary, command)
    except StorageError as error:
        if not (summary.interrupted and error.passes):
            raise
        print_ending_without_database(console, summary, command)
    return summary


def run_as_json(runner: Runner, url: str) -> RunSummary:
    """Run with one JSON object a line on stdout; the last is the summary."""
    lines = JsonLines(sys.stdout)
    summary = runner(lines.show)
    try:
        found = _found(url, summary.study)
    except StorageError as error:
        if not (summary.interrupted and error.passes):
            raise
        found = {}  # stopped while the database was away
    lines.write_summary(summary, **found)
    return summary


def _found(url: str, study: str) -> dict[str, Any]:
    with results(url) as engine:
        leaders = [asdict(leader) for leader in leaderboard(engine, study)]
        diagnosis = {**stages_as_dict(engine, study), **as_dict(engine, study)}
    return {"best": leaders[0] if leaders else None, "leaderboard": leaders, **diagnosis}


def _with_earlier_trials(show: Emit, progress: Progress, url: str) -> Emit:
    """``show``, after the progress has learned, from a study that goes on, what earlier runs left."""

    def shown(event: Event) -> None:
        if isinstance(event, StudyReady) and event.trials_done:
            with results(url) as engine:
                status = study_status(engine, event.study)
            counts = {state: getattr(status.summary, state) for state in ("complete", "pruned", "failed")}
            value, number = status.summary.best_value, status.best_number
            progress.start_from(counts, None if value is None or number is None else (value, number))
        show(event)

    return shown
