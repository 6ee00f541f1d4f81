"""Events as lines of text or JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, TextIO

from hpo.cli.console import finite, printable
from hpo.cli.views.events import describe
from hpo.cli.views.progress import RunProgress
from hpo.events import (
    TRIALS_FAILED,
    ClusterJoined,
    DatabaseAway,
    DatabaseBack,
    DatabaseRetried,
    EpochDone,
    Event,
    LeaseLost,
    RunSummary,
    Stopping,
    StudyReady,
    StudySkipped,
    StudyTaken,
    TrialEnded,
    TrialPaused,
    WorkerLost,
    WorkersWaiting,
    as_dict,
)
from hpo.redact import redact
from hpo.reporting import formatting
from hpo.text import counted
from hpo.workers.service import ServiceSummary

_OF_A_RUN = (StudyReady, Stopping, WorkerLost, ClusterJoined, WorkersWaiting, DatabaseAway, DatabaseBack)
_OF_A_TRIAL = (EpochDone, TrialPaused, TrialEnded)


class Lines:
    """Writes the events of a run as text: a line per epoch; for the last epoch, that of the trial's end."""

    def __init__(self, stream: TextIO, progress: RunProgress) -> None:
        self._stream = stream
        self._progress = progress

    def show(self, event: Event) -> None:
        """Update the progress, and write the event if it is one of those shown."""
        self._progress.apply(event)
        text = self._text(event)
        if text:
            self._stream.write(f"{printable(text)}\n")
            self._stream.flush()

    def _text(self, event: Event) -> str:
        if isinstance(event, _OF_A_RUN):
            return describe(event)
        is_last_epoch = isinstance(event, EpochDone) and event.result.epoch == event.epochs
        if not isinstance(event, _OF_A_TRIAL) or is_last_epoch:
            return ""
        so_far = f"  [{self._so_far()}]" if isinstance(event, TrialEnded) else ""
        return f"trial {event.number}  {describe(event)}{so_far}"

    def _so_far(self) -> str:
        total = self._progress.ready.trials_total if self._progress.ready else 0
        left = self._progress.seconds_left()
        time_left = f", about {formatting.duration(left)} left" if left else ""
        return f"{self._progress.done} of {counted(total, 'trial')}{time_left}"


class JsonLines:
    """Writes one JSON object per line, ``{"event": "epoch_done", ...}``; non-finite numbers become null."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, event: Event) -> None:
        """Write an event."""
        self._write(_snake_case(type(event).__name__), as_dict(event))

    def write_summary(self, summary: RunSummary, **more: Any) -> None:
        """Write how the run ended; the last line."""
        self._write("summary", {**asdict(summary), **more})

    def _write(self, event: str, values: dict[str, Any]) -> None:
        self._stream.write(
            json.dumps(finite({"event": event, **values}), ensure_ascii=False, default=str) + "\n"
        )
        self._stream.flush()


def _snake_case(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


_WARNINGS = (StudySkipped, WorkerLost, LeaseLost, DatabaseAway)
_NOT_LOGGED = (DatabaseRetried,)
"""Too frequent for a line each: `--metrics-port` counts them."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class WorkerLog:
    """Writes the events of a service as text or JSON lines, each with the study it belongs to."""

    def __init__(self, stream: TextIO, *, as_json: bool, clock: Callable[[], datetime] = _utc_now) -> None:
        self._stream = stream
        self._as_json = as_json
        self._clock = clock
        self._studies: dict[str, str] = {}
        """The study that each worker serves."""

    def show(self, event: Event) -> None:
        """Write an event."""
        if isinstance(event, _NOT_LOGGED):
            return
        worker = getattr(event, "worker", "")
        if isinstance(event, StudyTaken):
            self._studies[worker] = event.study
        study = getattr(event, "study", None) or self._studies.get(worker, "")
        level = "warning" if isinstance(event, _WARNINGS) else "info"
        details = {name: each for name, each in as_dict(event).items() if name not in ("study", "worker")}
        trial = details.pop("number", None)
        self._write(level, _snake_case(type(event).__name__), study, trial, worker, describe(event), details)

    def end(self, summary: ServiceSummary) -> None:
        """Write how the service ended; the last line."""
        level = "warning" if summary.exit_code in (1, TRIALS_FAILED) else "info"
        message = f"ended after {formatting.duration(summary.seconds)}"
        if summary.skipped:
            message += f"; not served: {', '.join(summary.skipped)}"
        if summary.failed:
            message += (
                f"; {formatting.counted(summary.failed, 'trial')} failed, most often: {summary.most_failed}"
            )
        self._write(level, "ended", "", None, "", message, asdict(summary))

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
            indented = redact(message).replace("\n", "\n  ")
            text = "  ".join([f"{at:%Y-%m-%d %H:%M:%S}", level, *filter(None, place), indented])
            text = "\n".join(map(printable, text.split("\n")))
        self._stream.write(f"{text}\n")
        self._stream.flush()


def _without_passwords(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_passwords(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_passwords(each) for each in value]
    return redact(value) if isinstance(value, str) else value
