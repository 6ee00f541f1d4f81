"""The view of a run on a terminal, redrawn in place."""

from __future__ import annotations

from threading import Lock
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.constrain import Constrain
from rich.control import Control
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.segment import ControlType
from rich.table import Table
from rich.text import Text

from hpo.cli.console import printable
from hpo.cli.views.events import describe
from hpo.cli.views.progress import RunningTrial, RunProgress
from hpo.cli.views.tables import SEVERITY_STYLES
from hpo.config.objective import Objective
from hpo.events import (
    ClusterJoined,
    DatabaseAway,
    DatabaseBack,
    Event,
    Stopping,
    StudyReady,
    TrialEnded,
    WorkerLost,
    WorkersWaiting,
)
from hpo.reporting import formatting
from hpo.text import counted

# One color per state, here and in every table; the text alone distinguishes them too.
STATE_STYLES = {
    "complete": "green",
    "pruned": "yellow",
    "failed": "red",
    "running": "cyan",
    "paused": "blue",
    "waiting": "dim",
}
_PRINTED_ABOVE = {
    ClusterJoined: "dim",
    DatabaseAway: "yellow",
    DatabaseBack: "green",
    Stopping: "yellow",
    WorkerLost: "yellow",
    WorkersWaiting: "yellow",
}
"""Styles of the events that are printed above the view, so that they stay when it ends."""
_REFRESHES = 4  # a second
_SPARK_WIDTH = 12


class LiveView:
    """Shows a run while it lasts, from the events passed to ``show``; clears itself at the end."""

    def __init__(self, console: Console, progress: RunProgress) -> None:
        self._progress = progress
        self._lock = Lock()  # rich draws the view in another thread
        self._live = Live(
            console=console,
            get_renderable=self.render,
            refresh_per_second=_REFRESHES,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> LiveView:
        # Not drawn in place yet: loading a data set may show its own progress first.
        self._show_loading()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clear_loading()
        self._live.stop()

    def show(self, event: Event) -> None:
        """Update the view; print events that must outlive it above it."""
        with self._lock:
            self._progress.apply(event)
        if isinstance(event, StudyReady):
            self._clear_loading()
            self._live.console.print(heading(event))
            self._live.start(refresh=True)
        elif type(event) in _PRINTED_ABOVE:
            self._clear_loading()
            self._live.console.print(Text(printable(describe(event)), _PRINTED_ABOVE[type(event)]))
            self._show_loading()

    def render(self) -> RenderableType:
        """Draw the current state."""
        with self._lock:
            return self._drawn()

    def _show_loading(self) -> None:
        if not self._live.is_started:
            self._live.console.print(Text("loading libraries and data ...", "dim"), end="\r")

    def _clear_loading(self) -> None:
        if not self._live.is_started:
            self._live.console.control(Control((ControlType.ERASE_IN_LINE, 2)))

    def _drawn(self) -> RenderableType:
        if self._progress.ready is None:
            return Text()
        # The terminal itself writes ^C at the end of the last line: a full line would shift the view.
        return Constrain(Group(*draw(self._progress)), self._live.console.width - len("^C"))


def draw(progress: RunProgress) -> list[RenderableType]:
    """Draw a study: bar, counts, running trials, the latest that ended, the latest findings."""
    assert progress.ready is not None
    parts: list[RenderableType] = [_bar(progress, progress.ready), _counts(progress)]
    if progress.running:
        parts += [Text(), _running(progress)]
    if progress.ended:
        parts += [Text(), _ended(progress)]
    if progress.findings:
        parts += [Text(), _findings(progress)]
    return parts


def heading(ready: StudyReady) -> Text:
    """Return the heading of a run, with its study in bold."""
    first, origin, *more = printable(describe(ready)).split("\n")
    text = Text(first)
    text.stylize("bold", 0, len(printable(ready.study)))
    return Text("\n").join([text, Text(origin, "dim"), *(Text(line, "yellow") for line in more)])


def _bar(progress: RunProgress, ready: StudyReady) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column()
    for _ in range(3):
        grid.add_column(no_wrap=True)
    left = progress.seconds_left()
    grid.add_row(
        ProgressBar(total=ready.trials_total, completed=progress.done, width=36),
        Text(f"{progress.done} of {counted(ready.trials_total, 'trial')}", "bold"),
        Text("" if left is None else f"about {formatting.duration(left)} left"),
        Text(f"{progress.images_per_second:,.0f} images/s" if progress.rates else "", "dim"),
    )
    return grid


def _counts(progress: RunProgress) -> Text:
    counts = {
        "running": len(progress.running),
        **({"paused": len(progress.paused)} if progress.paused else {}),
        **{s: progress.states[s] for s in ("complete", "pruned", "failed")},
    }
    parts = [
        Text(f"{count} {state}", STATE_STYLES[state] if count else "dim") for state, count in counts.items()
    ]
    if progress.best is not None:
        value, number = progress.best
        parts.append(Text.assemble("best ", (progress.goal.text(value), "bold green"), f" (trial {number})"))
    return Text("   ").join(parts)


def _running(progress: RunProgress) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("trial", no_wrap=True, justify="right")
    table.add_column("epoch", no_wrap=True, justify="right")
    table.add_column(progress.goal.label, no_wrap=True)
    table.add_column("train loss", no_wrap=True, justify="right")
    table.add_column("images/s", no_wrap=True, justify="right")
    table.add_column("searched")
    for number in sorted(progress.running):
        trial = progress.running[number]
        table.add_row(*_running_row(trial, progress.rates.get(trial.worker), progress.goal))
    return table


def _running_row(trial: RunningTrial, rate: float | None, goal: Objective) -> list[Text]:
    spark, _, _ = formatting.metric_sparkline(trial.values, goal, _SPARK_WIDTH)
    last = goal.text(trial.values[-1]) if trial.values else "checks before training"
    return [
        Text(str(trial.number), "cyan"),
        Text(f"{trial.epoch}/{trial.epochs or '–'}"),
        Text.assemble((f"{spark} " if spark else "", "cyan"), (last, "" if trial.values else "dim")),
        Text(formatting.loss(trial.train_loss)),
        Text("–" if rate is None else f"{rate:,.0f}"),
        cut(formatting.hyperparameters(trial.configuration), "dim"),
    ]


def _ended(progress: RunProgress) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for justify in ("right", "left", "right"):
        table.add_column(justify=justify, no_wrap=True)
    table.add_column()
    for event in reversed(progress.ended):
        table.add_row(*_ended_row(event))
    return table


def _ended_row(event: TrialEnded) -> list[Text]:
    style = STATE_STYLES.get(event.state, "")
    value = Objective(event.objective).text(event.value) if event.state == "complete" else ""
    return [Text(str(event.number), style), Text(event.state, style), Text(value), cut(event.verdict)]


def _findings(progress: RunProgress) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column()
    for finding in reversed(progress.findings):
        table.add_row(
            Text(str(finding.number), STATE_STYLES["waiting"]),
            Text(finding.severity, SEVERITY_STYLES.get(finding.severity, "")),
            Text(printable(finding.check), "dim"),
            cut(finding.message),
        )
    return table


def cut(text: str, style: str = "") -> Text:
    """Return one line that shrinks before the columns next to it."""
    return Text(printable(text), style, no_wrap=True, overflow="ellipsis")
