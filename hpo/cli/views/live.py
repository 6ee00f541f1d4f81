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
from hpo.cli.views.progress import Progress, RunningTrial
from hpo.cli.views.tables import SEVERITY_STYLES
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
from hpo.storage.retry import RETRY_SECONDS

# One colour for one thing, here and in every table; told apart by words too, for those who do not see them.
STATE_STYLES = {
    "complete": "green",
    "pruned": "yellow",
    "failed": "red",
    "running": "cyan",
    "paused": "blue",
    "waiting": "dim",
}
STOPPING = "stopping: the workers give their trials back ..."
AWAY = (
    "the database does not answer: training goes on, what it finds is kept and written when it answers again"
    f" (tried for {formatting.duration(RETRY_SECONDS)})"
)
BACK = "the database answers again: nothing was lost"
_REFRESHES = 4  # a second
_SPARK_WIDTH = 12
_HOSTS = 8


class LiveView:
    """Shows a run while it lasts; ``show`` takes its events. The screen is left clean at the end."""

    def __init__(self, console: Console, progress: Progress) -> None:
        self._progress = progress
        self._lock = Lock()  # the view is drawn in a thread of its own
        self._live = Live(
            console=console,
            get_renderable=self.render,
            refresh_per_second=_REFRESHES,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> LiveView:
        # Not drawn in place yet: the making of a data set may show its own progress meanwhile.
        self._say_loading()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clear_loading()
        self._live.stop()

    def show(self, event: Event) -> None:
        """Take an event into account; what must not vanish with the view is printed above it."""
        with self._lock:
            self._progress.apply(event)
        if isinstance(event, StudyReady):
            self._clear_loading()
            self._live.console.print(heading(event))
            self._live.start(refresh=True)
        elif isinstance(event, Stopping):
            self._live.console.print(Text(STOPPING, "yellow"))
        elif isinstance(event, WorkerLost):
            self._live.console.print(Text(printable(event.message), "yellow"))
        elif isinstance(event, ClusterJoined):
            self._clear_loading()
            self._live.console.print(Text(joined(event), "dim"))
            self._say_loading()
        elif isinstance(event, WorkersWaiting):
            self._live.console.print(Text(waiting(event), "yellow"))
        elif isinstance(event, DatabaseAway):
            self._live.console.print(Text(AWAY, "yellow"))
        elif isinstance(event, DatabaseBack):
            self._live.console.print(Text(BACK, "green"))

    def render(self) -> RenderableType:
        """The view as it is now."""
        with self._lock:
            return self._drawn()

    def _say_loading(self) -> None:
        self._live.console.print(Text("loading libraries and data ...", "dim"), end="\r")

    def _clear_loading(self) -> None:
        if not self._live.is_started:
            self._live.console.control(Control((ControlType.ERASE_IN_LINE, 2)))

    def _drawn(self) -> RenderableType:
        if self._progress.ready is None:
            return Text()
        # The terminal itself writes ^C at the end of the last line: on a full line it would shift the view.
        return Constrain(Group(*draw(self._progress)), self._live.console.width - len("^C"))


def draw(progress: Progress) -> list[RenderableType]:
    """How a study stands: bar, counts, each trial under way, the latest that ended, the latest findings."""
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
    """What runs, on what, with what."""
    threads = formatting.count(ready.threads_per_worker, "thread")
    workers = formatting.count(ready.workers, "worker")
    machine = f"{workers} with {threads} each on {ready.device}, {ready.precision}"
    lines = [
        Text.assemble(
            (printable(ready.study), "bold"), f"  {formatting.count(ready.trials_total, 'trial')}, {machine}"
        ),
        Text(printable(ready.origin), "dim"),
    ]
    if ready.trials_done:
        done, left = formatting.count(ready.trials_done, "trial"), ready.trials_total - ready.trials_done
        be = "is" if ready.trials_done == 1 else "are"
        lines.append(Text(f"goes on: {done} {be} done, {left} left", "dim"))
    if ready.reclaimed:
        lines.append(
            Text(f"{formatting.count(ready.reclaimed, 'trial')} taken over from workers that died", "yellow")
        )
    return Text("\n").join(lines)


def joined(event: ClusterJoined) -> str:
    """What is said of a cluster."""
    hosts = ", ".join(map(printable, event.hosts[:_HOSTS])) + (" ..." if len(event.hosts) > _HOSTS else "")
    gpus = formatting.count(event.idle_gpus, "GPU")
    idle = f"; {gpus} unused: --gpus-per-worker 1, or a share, changes that" if event.idle_gpus else ""
    nodes, workers = formatting.count(len(event.hosts), "node"), formatting.count(event.workers, "worker")
    return f"Ray on {nodes} ({hosts}): {workers} with {event.each} each{idle}"


def waiting(event: WorkersWaiting) -> str:
    """What is said of workers that have no node."""
    workers = formatting.count(event.workers, "worker")
    return f"{event.waiting} of {workers} still wait for room on the Ray cluster"


def _bar(progress: Progress, ready: StudyReady) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column()
    for _ in range(3):
        grid.add_column(no_wrap=True)
    left = progress.seconds_left()
    grid.add_row(
        ProgressBar(total=ready.trials_total, completed=progress.done, width=36),
        Text(f"{progress.done} of {ready.trials_total} trials", "bold"),
        Text("" if left is None else f"about {formatting.duration(left)} left"),
        Text(f"{progress.images_per_second:,.0f} images/s" if progress.rates else "", "dim"),
    )
    return grid


def _counts(progress: Progress) -> Text:
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
        parts.append(Text.assemble("best ", (formatting.accuracy(value), "bold green"), f" (trial {number})"))
    return Text("   ").join(parts)


def _running(progress: Progress) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("trial", no_wrap=True, justify="right")
    table.add_column("epoch", no_wrap=True, justify="right")
    table.add_column("validation accuracy", no_wrap=True)
    table.add_column("train loss", no_wrap=True, justify="right")
    table.add_column("images/s", no_wrap=True, justify="right")
    table.add_column("searched")
    for number in sorted(progress.running):
        trial = progress.running[number]
        table.add_row(*_running_row(trial, progress.rates.get(trial.worker)))
    return table


def _running_row(trial: RunningTrial, rate: float | None) -> list[Text]:
    spark = formatting.sparkline(trial.accuracies, 0.0, 1.0, _SPARK_WIDTH)
    last = formatting.accuracy(trial.accuracies[-1]) if trial.accuracies else "checks before training"
    return [
        Text(str(trial.number), "cyan"),
        Text(f"{trial.epoch}/{trial.epochs}"),
        Text.assemble((f"{spark} " if spark else "", "cyan"), (last, "" if trial.accuracies else "dim")),
        Text(formatting.loss(trial.train_loss)),
        Text("–" if rate is None else f"{rate:,.0f}"),
        cut(formatting.hyperparameters(trial.configuration), "dim"),
    ]


def _ended(progress: Progress) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for justify in ("right", "left", "right"):
        table.add_column(justify=justify, no_wrap=True)
    table.add_column()
    for event in reversed(progress.ended):
        table.add_row(*_ended_row(event))
    return table


def _ended_row(event: TrialEnded) -> list[Text]:
    style = STATE_STYLES.get(event.state, "")
    value = formatting.accuracy(event.value) if event.state == "complete" else ""
    return [Text(str(event.number), style), Text(event.state, style), Text(value), cut(event.verdict)]


def _findings(progress: Progress) -> Table:
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
    """One line that gives way to the columns beside it: rich shrinks columns that may wrap before others."""
    return Text(printable(text), style, no_wrap=True, overflow="ellipsis")
