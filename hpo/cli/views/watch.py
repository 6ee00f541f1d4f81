"""The page of ``hpo status --watch``: a study while workers train it, redrawn from the database."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from hpo.cli.console import printable, stdout
from hpo.cli.database import results
from hpo.cli.output import check_reader
from hpo.cli.views.live import draw
from hpo.cli.views.progress import RunningTrial, RunProgress
from hpo.errors import StorageError
from hpo.events import FindingMade, StudyReady, TrialEnded
from hpo.queries.live import EndedNow, RunningNow, StudyNow, study_now
from hpo.reporting import formatting

INTERVAL_SECONDS = 2.0
_NO_WORKER = "no worker is running it; `hpo run` resumes it"


def watch(url: str, study: str, pause: Callable[[float], Any] = time.sleep) -> None:
    """Show the study until it is done or Ctrl-C; without a terminal, print a line for each change.

    Raises ``UnknownStudyError``, and ``StorageError`` if the database cannot be read.
    """
    console = stdout()
    show = _on_terminal if console.is_terminal else _as_lines
    with suppress(KeyboardInterrupt):
        show(console, _snapshots(url, study, pause))


def _snapshots(url: str, study: str, pause: Callable[[float], Any]) -> Iterator[StudyNow | str]:
    """Yield the study's status at intervals; an error message while the database is unreachable."""
    with results(url) as engine:
        seen = False
        while True:
            try:
                now = study_now(engine, study)
            except StorageError as error:
                if not seen:
                    raise
                yield str(error)
            else:
                seen = True
                yield now
                if now.status.summary.done >= now.status.summary.trials:
                    return
            pause(INTERVAL_SECONDS)


def _on_terminal(console: Console, snapshots: Iterator[StudyNow | str]) -> None:
    with Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:
        for snapshot in snapshots:
            shown = Text(printable(snapshot), "yellow") if isinstance(snapshot, str) else view(snapshot)
            live.update(shown, refresh=True)


def _as_lines(_console: Console, snapshots: Iterator[StudyNow | str]) -> None:
    last = ""
    for snapshot in snapshots:
        line = printable(snapshot if isinstance(snapshot, str) else one_line(snapshot))
        if line != last:
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
        check_reader()  # of `| head -1`: the next line may be hours away
        last = line


def view(now: StudyNow, clock: Callable[[], float] = time.monotonic) -> RenderableType:
    """Return the study as `hpo run` draws it, with the latest findings."""
    summary, progress = now.status.summary, progress_of(now, clock)
    title = Text.assemble(
        (printable(summary.name), "bold"), f"  {formatting.counted(summary.trials, 'trial')}"
    )
    if summary.stopped_at is not None:
        title.append("  stopped; `hpo resume` resumes it", "yellow")
    elif not now.running and summary.done < summary.trials:
        title.append(f"  {_NO_WORKER}", "yellow")
    return Group(title, *draw(progress))


def one_line(now: StudyNow) -> str:
    """Return the study in a line that changes only when the study does."""
    summary = now.status.summary
    counts = ", ".join(
        f"{number} {state}"
        for state in ("running", "complete", "pruned", "failed")
        if (number := getattr(summary, state))
    )
    best = ""
    if summary.best_value is not None or summary.beyond_limit:
        best = f", best {summary.best_text}"
    if summary.best_value is not None:
        best = f", best {summary.goal.text(summary.best_value)} (trial {now.status.best_number})"
    done = f"{summary.done} of {formatting.counted(summary.trials, 'trial')} done"
    return f"{summary.name}  {done}: {counts or 'no trial started'}{best}"


def progress_of(now: StudyNow, clock: Callable[[], float] = time.monotonic) -> RunProgress:
    """Return the progress as a run that had received every event would have it."""
    summary, moment = now.status.summary, clock()
    workers = len({trial.worker for trial in now.running})
    progress = RunProgress(clock=lambda: moment)
    progress.ready = StudyReady(
        study=summary.name,
        dataset=summary.dataset,
        origin="",
        trials_done=summary.done,
        trials_total=summary.trials,
        workers=workers,
        threads_per_worker=0,
        device="",
        precision="",
        costs=now.costs,
        objective=summary.objective,
        direction=summary.direction,
    )
    progress.states.update({state: getattr(summary, state) for state in ("complete", "pruned", "failed")})
    if summary.best_value is not None and now.status.best_number is not None:
        progress.best = (summary.best_value, now.status.best_number)
    for trial in now.running:
        progress.running[trial.number] = _running_trial(now, trial, moment)
        if trial.curve and trial.curve[-1].images_per_second > 0:
            progress.rates[trial.worker] = trial.curve[-1].images_per_second
    if now.running:  # the time left cannot be estimated without workers
        progress.durations = {trial.number: trial.seconds for trial in now.ended}
    progress.ended.extend(_ended(trial, summary.objective) for trial in now.ended)
    progress.findings.extend(
        FindingMade("", each.number, each.severity, each.check, each.message) for each in now.findings
    )
    return progress


def _running_trial(now: StudyNow, trial: RunningNow, moment: float) -> RunningTrial:
    last = trial.curve[-1] if trial.curve else None
    searched = {name: trial.configuration.get(name) for name in now.searched}
    return RunningTrial(
        number=trial.number,
        worker=trial.worker,
        configuration={name: value for name, value in searched.items() if value is not None},
        epochs=trial.configuration.get("epochs") or 0,
        began=moment - trial.seconds,
        epoch_at=moment - trial.idle_seconds,
        first_epoch=trial.from_epoch,
        epoch=last.epoch if last else trial.from_epoch,
        train_loss=last.train_loss if last else None,
        values=[now.status.summary.goal.of(each) for each in trial.curve],
    )


def _ended(trial: EndedNow, objective: str) -> TrialEnded:
    return TrialEnded(
        "", trial.number, trial.state, trial.value, trial.verdict or "", trial.seconds, objective
    )
