"""Events as lines of text or JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, TextIO

from hpo.cli.console import finite, printable
from hpo.cli.views.live import AWAY, BACK, STOPPING, heading, joined, waiting
from hpo.cli.views.progress import Progress
from hpo.events import (
    ClusterJoined,
    DatabaseAway,
    DatabaseBack,
    DatabaseRetried,
    EpochDone,
    Event,
    FindingMade,
    LeaseLost,
    RunSummary,
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
from hpo.redact import redact
from hpo.reporting import formatting
from hpo.workers.run import ServiceSummary


class Lines:
    """At most one line an epoch; the last epoch's is that of the trial's end."""

    def __init__(self, stream: TextIO, progress: Progress) -> None:
        self._stream = stream
        self._progress = progress

    def show(self, event: Event) -> None:
        """Take an event into account and print what it has to say."""
        self._progress.apply(event)
        text = self._text(event)
        if text:
            self._stream.write(f"{printable(text)}\n")
            self._stream.flush()

    def _text(self, event: Event) -> str:
        if isinstance(event, StudyReady):
            return heading(event).plain
        if isinstance(event, Stopping):
            return STOPPING
        if isinstance(event, WorkerLost):
            return event.message
        if isinstance(event, ClusterJoined):
            return joined(event)
        if isinstance(event, WorkersWaiting):
            return waiting(event)
        if isinstance(event, DatabaseAway):
            return AWAY
        if isinstance(event, DatabaseBack):
            return BACK
        if isinstance(event, TrialEnded):
            return self._ending(event)
        if isinstance(event, TrialPaused):
            return f"trial {event.number}  paused  {event.reason}"
        if isinstance(event, EpochDone) and event.epoch < event.epochs:
            return (
                f"trial {event.number}  epoch {event.epoch}/{event.epochs}  val_accuracy "
                f"{formatting.accuracy(event.val_accuracy)}  val_loss {formatting.loss(event.val_loss)}  "
                f"train_loss {formatting.loss(event.train_loss)}  {event.images_per_second:,.0f} images/s"
            )
        return ""

    def _ending(self, event: TrialEnded) -> str:
        total = self._progress.ready.trials_total if self._progress.ready else 0
        value = f"  val_accuracy {formatting.accuracy(event.value)}" if event.state == "complete" else ""
        left = self._progress.seconds_left()
        time_left = f", about {formatting.duration(left)} left" if left else ""
        return (
            f"trial {event.number}  {event.state}{value}  {event.verdict}  "
            f"[{self._progress.done} of {total} trials{time_left}]"
        )


class JsonLines:
    """One JSON object a line: ``{"event": "epoch_done", ...}``; what is not a finite number is null."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, event: Event) -> None:
        """Print an event."""
        self.write(_snake_case(type(event).__name__), asdict(event))

    def write_summary(self, summary: RunSummary, **more: Any) -> None:
        """Print how the run ended; the last line."""
        self.write("summary", {**asdict(summary), **more})

    def write(self, event: str, values: dict[str, Any]) -> None:
        """Print one object."""
        self._stream.write(
            json.dumps(finite({"event": event, **values}), ensure_ascii=False, default=str) + "\n"
        )
        self._stream.flush()


def _snake_case(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


_WARNINGS = (StudySkipped, WorkerLost, LeaseLost, DatabaseAway)
_COUNTED = (DatabaseRetried,)
"""Too many to tell each: `--metrics-port` counts them."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class WorkerLog:
    """Writes the events of a service, as text or as JSON lines, and knows whose trials they are of."""

    def __init__(self, stream: TextIO, *, as_json: bool, clock: Callable[[], datetime] = _utc_now) -> None:
        self._stream = stream
        self._as_json = as_json
        self._clock = clock
        self._studies: dict[str, str] = {}
        """The study that each worker serves."""

    def show(self, event: Event) -> None:
        """Write what happened."""
        if isinstance(event, _COUNTED):
            return
        worker = getattr(event, "worker", "")
        if isinstance(event, StudyTaken):
            self._studies[worker] = event.study
        study = getattr(event, "study", None) or self._studies.get(worker, "")
        level = "warning" if isinstance(event, _WARNINGS) else "info"
        details = {name: each for name, each in asdict(event).items() if name not in ("study", "worker")}
        trial = details.pop("number", None)
        self._write(level, _snake_case(type(event).__name__), study, trial, worker, _message(event), details)

    def end(self, summary: ServiceSummary) -> None:
        """Write how the service ended; the last line."""
        level = "warning" if summary.exit_code == 1 else "info"
        said = f"ended after {formatting.duration(summary.seconds)}"
        if summary.skipped:
            said += f"; not served: {', '.join(summary.skipped)}"
        self._write(level, "ended", "", None, "", said, asdict(summary))

    def _write(
        self,
        level: str,
        event: str,
        study: str,
        trial: int | None,
        worker: str,
        message: str,
        details: dict[str, Any],
    ) -> None:
        at = self._clock()
        if self._as_json:
            line: dict[str, Any] = {"time": at.isoformat(timespec="milliseconds"), "level": level}
            line |= {"event": event, "study": study or None, "trial": trial, "worker": worker or None}
            line |= {"message": message, **details}
            text = json.dumps(_without_passwords(finite(line)), ensure_ascii=False, default=str)
        else:
            place = [study, "" if trial is None else f"trial {trial}", worker]
            said = redact(message).replace("\n", "\n  ")
            text = "  ".join([f"{at:%Y-%m-%d %H:%M:%S}", level, *filter(None, place), said])
            text = "\n".join(map(printable, text.split("\n")))
        self._stream.write(f"{text}\n")
        self._stream.flush()


def _without_passwords(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_passwords(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_passwords(each) for each in value]
    return redact(value) if isinstance(value, str) else value


def _message(event: Event) -> str:
    return next((say(event) for kind, say in _SAYINGS.items() if isinstance(event, kind)), "")


def _ready(event: WorkerReady) -> str:
    tags = f", tags {', '.join(event.tags)}" if event.tags else ""
    return f"ready on {event.device} with {formatting.count(event.threads, 'thread')}{tags}"


def _started(event: TrialStarted) -> str:
    values = formatting.hyperparameters(event.configuration)
    return f"{'goes on' if event.resumed else 'begins'}: {formatting.count(event.epochs, 'epoch')}, {values}"


def _epoch(event: EpochDone) -> str:
    return (
        f"epoch {event.epoch}/{event.epochs}, val_accuracy {formatting.accuracy(event.val_accuracy)}, "
        f"train_loss {formatting.loss(event.train_loss)}, {event.images_per_second:,.0f} images/s"
    )


def _ended(event: TrialEnded) -> str:
    value = f", val_accuracy {formatting.accuracy(event.value)}" if event.state == "complete" else ""
    return f"{event.state}{value}: {event.verdict}"


_SAYINGS: dict[type, Callable[[Any], str]] = {
    WorkerReady: _ready,
    StudyTaken: lambda event: "turns to it",
    StudyOver: lambda event: "all its trials are over",
    StudySkipped: lambda event: f"is passed over: {event.reason}",
    TrialStarted: _started,
    EpochDone: _epoch,
    FindingMade: lambda event: f"{event.severity} {event.check}: {event.message}",
    TrialEnded: _ended,
    TrialPaused: lambda event: f"paused: {event.reason}",
    Stopping: lambda event: STOPPING,
    WorkerLost: lambda event: event.message,
    LeaseLost: lambda event: f"lost its lease of slot {event.slot}: another worker goes on with the trial",
    DatabaseAway: lambda event: AWAY,
    DatabaseBack: lambda event: BACK,
}
