"""What `hpo run` prints: events while the study runs, then a summary."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import asdict
from types import TracebackType
from typing import Any

from hpo.cli.console import data_output, stdout
from hpo.cli.database import results
from hpo.cli.views.diagnosis import as_dict
from hpo.cli.views.lines import JsonLines, Lines
from hpo.cli.views.live import LiveView
from hpo.cli.views.progress import RunProgress
from hpo.cli.views.run_end import print_ending, print_ending_without_database
from hpo.cli.views.stages import as_dict as stages_as_dict
from hpo.errors import StorageError
from hpo.events import Event, RunSummary, StudyReady
from hpo.queries.failures import frequent_failure
from hpo.queries.study import best_leader, leaderboard, study_status


class RunView:
    """Shows a run to people: live on a terminal, as lines of text elsewhere."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._console = stdout()
        self._progress = RunProgress()
        self._view: LiveView | Lines = (
            LiveView(self._console, self._progress)
            if self._console.is_terminal
            else Lines(sys.stdout, self._progress)
        )
        self._live = ExitStack()

    def __enter__(self) -> RunView:
        if isinstance(self._view, LiveView):
            self._live.enter_context(self._view)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.close()

    def show(self, event: Event) -> None:
        """Show an event."""
        if isinstance(event, StudyReady) and event.trials_done:
            self._add_earlier_trials(event.study)
        self._view.show(event)

    def print_summary(self, summary: RunSummary, program: str = "hpo") -> None:
        """Print how the run ended; without the database's part if a signal ended a run that had lost it.

        ``program`` is what was run, before its arguments.
        """
        command = [*program.split(" "), *sys.argv[1:]]
        try:
            with results(self._url) as engine:
                print_ending(self._console, engine, self._url, summary, command)
        except StorageError as error:
            if not (summary.interrupted and error.passes):
                raise
            print_ending_without_database(self._console, summary, command)

    def _add_earlier_trials(self, study: str) -> None:
        with results(self._url) as engine:
            status = study_status(engine, study)
        counts = {state: getattr(status.summary, state) for state in ("complete", "pruned", "failed")}
        value, number = status.summary.best_value, status.best_number
        self._progress.start_from(counts, None if value is None or number is None else (value, number))


class JsonRunView:
    """Writes a run to stdout, one JSON object per line; the last is the summary."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lines = JsonLines(data_output())

    def __enter__(self) -> JsonRunView:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def show(self, event: Event) -> None:
        """Write an event."""
        self._lines.show(event)

    def print_summary(self, summary: RunSummary) -> None:
        """Write how the run ended; without the database's part if a signal ended a run that had lost it."""
        try:
            found = self._results(summary.study)
        except StorageError as error:
            if not (summary.interrupted and error.passes):
                raise
            found = {}
        self._lines.write_summary(summary, **found)

    def _results(self, study: str) -> dict[str, Any]:
        with results(self._url) as engine:
            leaders = [asdict(leader) for leader in leaderboard(engine, study)]
            best = best_leader(engine, study)
            diagnosis = {**stages_as_dict(engine, study), **as_dict(engine, study)}
            failure = frequent_failure(engine, study)
            diagnosis["most_frequent_failure"] = failure and asdict(failure)
        return {"best": best and asdict(best), "leaderboard": leaders, **diagnosis}
