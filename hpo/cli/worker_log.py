"""What `hpo worker` writes: a line for each thing that happens, with its study, trial and worker."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, TextIO

from hpo.cli.console import printable
from hpo.cli.lines import finite
from hpo.cli.live import AWAY, BACK, STOPPING
from hpo.events import (
    DatabaseAway,
    DatabaseBack,
    DatabaseRetried,
    EpochDone,
    Event,
    FindingMade,
    LeaseLost,
    Stopping,
    StudyOver,
    StudySkipped,
    StudyTaken,
    TrialEnded,
    TrialPaused,
    TrialStarted,
    WorkerLost,
    WorkerReady,
)
from hpo.redact import redact
from hpo.reporting import words
from hpo.workers.service import ServiceSummary

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
        said = f"ended after {words.duration(summary.seconds)}"
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
    return f"ready on {event.device} with {words.count(event.threads, 'thread')}{tags}"


def _started(event: TrialStarted) -> str:
    values = words.settings(event.configuration)
    return f"{'goes on' if event.resumed else 'begins'}: {words.count(event.epochs, 'epoch')}, {values}"


def _epoch(event: EpochDone) -> str:
    return (
        f"epoch {event.epoch}/{event.epochs}, val_accuracy {words.accuracy(event.val_accuracy)}, "
        f"train_loss {words.loss(event.train_loss)}, {event.images_per_second:,.0f} images/s"
    )


def _ended(event: TrialEnded) -> str:
    value = f", val_accuracy {words.accuracy(event.value)}" if event.state == "complete" else ""
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


def _snake_case(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
