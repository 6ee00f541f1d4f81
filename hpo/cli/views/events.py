"""The text of each event of a run."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

from hpo.config.objective import Objective
from hpo.events import (
    ClusterJoined,
    DatabaseAway,
    DatabaseBack,
    DatabaseRetried,
    EpochDone,
    FindingMade,
    LeaseLost,
    Stopping,
    StudyOver,
    StudyReady,
    StudySkipped,
    StudyTaken,
    TrialEnded,
    TrialPaused,
    TrialStarted,
    WorkerLost,
    WorkerReady,
    WorkersWaiting,
)
from hpo.reporting import formatting
from hpo.storage.retry import RETRY_SECONDS

_HOSTS = 8


@singledispatch
def describe(event: Any) -> str:
    """Return what happened as text, without the study, trial and worker that it happened to."""
    raise TypeError(f"{type(event).__name__} has no text")


@describe.register
def _(event: StudyReady) -> str:
    threads = formatting.counted(event.threads_per_worker, "thread")
    workers = formatting.counted(event.workers, "worker")
    trials = formatting.counted(event.trials_total, "trial")
    where = ", ".join(filter(None, (event.device, event.precision)))
    lines = [
        f"{event.study}  {trials}, {workers} with {threads} each on {where}",
        event.origin,
    ]
    if event.trials_done:
        done, left = formatting.counted(event.trials_done, "trial"), event.trials_total - event.trials_done
        lines.append(f"resuming: {done} done, {left} left")
    if event.reclaimed:
        lines.append(f"reclaimed {formatting.counted(event.reclaimed, 'trial')} from workers that died")
    lines += [f"warning: {warning}" for warning in event.warnings]
    return "\n".join(lines)


@describe.register
def _(event: TrialStarted) -> str:
    values = formatting.hyperparameters(event.configuration)
    return (
        f"{'resumes' if event.resumed else 'starts'}: "
        f"{formatting.counted(event.epochs, 'epoch') + ', ' if event.epochs else ''}{values}"
    )


@describe.register
def _(event: EpochDone) -> str:
    result = event.result
    parts = [f"{name} {value}" for name, value in formatting.metrics(result, event.objective)]
    if result.images:
        parts.append(f"{result.images_per_second:,.0f} images/s")
    return "  ".join([f"epoch {result.epoch}{f'/{event.epochs}' if event.epochs else ''}", *parts])


@describe.register
def _(event: FindingMade) -> str:
    return f"{event.severity} {event.check}: {event.message}"


@describe.register
def _(event: TrialEnded) -> str:
    reached = f"  {event.objective} {Objective(event.objective).text(event.value)}"
    value = reached if event.state == "complete" else ""
    return f"{event.state}{value}  {event.verdict}"


@describe.register
def _(event: TrialPaused) -> str:
    return f"paused  {event.reason}"


@describe.register
def _(event: Stopping) -> str:
    return "stopping: workers are saving and releasing their trials ..."


@describe.register
def _(event: WorkerLost) -> str:
    return event.message


@describe.register
def _(event: LeaseLost) -> str:
    return f"lost its lease of slot {event.slot}: another worker resumes the trial"


@describe.register
def _(event: ClusterJoined) -> str:
    hosts = ", ".join(event.hosts[:_HOSTS]) + (" ..." if len(event.hosts) > _HOSTS else "")
    nodes, workers = formatting.counted(len(event.hosts), "node"), formatting.counted(event.workers, "worker")
    gpus = formatting.counted(event.idle_gpus, "GPU")
    idle = f"; {gpus} unused: see --gpus-per-worker" if event.idle_gpus else ""
    return f"Ray on {nodes} ({hosts}): {workers} with {event.each} each{idle}"


@describe.register
def _(event: WorkersWaiting) -> str:
    workers = formatting.counted(event.workers, "worker")
    return f"{event.waiting} of {workers} still waiting for room on the Ray cluster"


@describe.register
def _(event: DatabaseAway) -> str:
    return (
        "the database does not answer: training continues, and results are written when it answers again "
        f"(retrying for {formatting.duration(RETRY_SECONDS)})"
    )


@describe.register
def _(event: DatabaseBack) -> str:
    return "the database answers again: nothing was lost"


@describe.register
def _(event: DatabaseRetried) -> str:
    return "retries a database transaction"


@describe.register
def _(event: WorkerReady) -> str:
    tags = f", tags {', '.join(event.tags)}" if event.tags else ""
    return f"ready on {event.device} with {formatting.counted(event.threads, 'thread')}{tags}"


@describe.register
def _(event: StudyTaken) -> str:
    return "switches to this study"


@describe.register
def _(event: StudyOver) -> str:
    return "all trials are over"


@describe.register
def _(event: StudySkipped) -> str:
    return f"skipped: {event.reason}"
