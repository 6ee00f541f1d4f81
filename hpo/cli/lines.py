"""A run as plain lines for a pipe or a log, or as JSON for a program."""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict
from typing import Any, TextIO

from hpo.cli.console import printable
from hpo.cli.live import AWAY, BACK, STOPPING, heading, joined, waiting
from hpo.cli.progress import Progress
from hpo.events import (
    ClusterJoined,
    DatabaseAway,
    DatabaseBack,
    EpochDone,
    Event,
    RunSummary,
    Stopping,
    StudyReady,
    TrialEnded,
    TrialPaused,
    WorkerLost,
    WorkersWaiting,
)
from hpo.reporting import words


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
                f"{words.accuracy(event.val_accuracy)}  val_loss {words.loss(event.val_loss)}  train_loss "
                f"{words.loss(event.train_loss)}  {event.images_per_second:,.0f} images/s"
            )
        return ""

    def _ending(self, event: TrialEnded) -> str:
        total = self._progress.ready.trials_total if self._progress.ready else 0
        value = f"  val_accuracy {words.accuracy(event.value)}" if event.state == "complete" else ""
        left = self._progress.seconds_left()
        time_left = f", about {words.duration(left)} left" if left else ""
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


def to_json(value: Any) -> str:
    """Indented JSON; what is not a finite number is null, and a time is text."""
    return json.dumps(finite(value), indent=2, ensure_ascii=False, default=str)


def finite(value: Any) -> Any:
    """The value with null for what JSON has no number for."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _snake_case(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
