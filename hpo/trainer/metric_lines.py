"""Metrics that a command reports: lines of JSON in files of its trial, one for each epoch.

A line is ``{"hpo": {"epoch": 3, "val_accuracy": 0.91}}``, also on standard output, or only the inner object.
Each attempt at the trial has its own file, so that a command that outlives its worker does not disturb the
next attempt.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpo.config.command import is_parameter_name, trial_variable
from hpo.errors import UserError

STDOUT_LINE = re.compile(rb'(?:.*\r)?\s*\{\s*"hpo"\s*:')
"""The start of a line of standard output that reports metrics; before it there may be a progress bar."""
LIKE_A_REPORT = re.compile(rb"""['"]hpo['"]\s*:""")
"""In a line that was meant as one, perhaps in the wrong form or place."""
EXAMPLE = '{"hpo": {"epoch": 1, "val_accuracy": 0.91}}'
MOST_SKIPPED = 10_000
"""Epochs without a report between two that were reported; more is a mistake."""


@dataclass(frozen=True)
class EpochMetrics:
    """The metrics of one epoch."""

    metrics: Mapping[str, float]
    epoch: int | None = None
    """From 1; None for the one after the last."""


def parse_report(line: str) -> EpochMetrics:
    """Return what a line reports. Raises ``ValueError`` that says what is wrong with it."""
    try:
        document = json.loads(line.strip().rpartition("\r")[2], object_pairs_hook=_without_repetition)
    except _RepeatedError as error:
        raise ValueError(f"has {error.args[0]!r} twice") from None
    except (ValueError, RecursionError):
        raise ValueError(f"is not JSON, as in {EXAMPLE}") from None
    if isinstance(document, dict) and set(document) == {"hpo"}:
        document = document["hpo"]
    if not isinstance(document, dict) or "hpo" in document:
        raise ValueError(f"is not an object with metrics, as in {EXAMPLE}")
    epoch = document.pop("epoch", None)
    if epoch is not None and (isinstance(epoch, bool) or not isinstance(epoch, int) or epoch < 1):
        raise ValueError(f"has the epoch {json.dumps(epoch)}; epochs are whole numbers from 1")
    if not document:
        raise ValueError("has no metric")
    return EpochMetrics({name: metric(name, value) for name, value in document.items()}, epoch)


class _RepeatedError(Exception):
    """Two values of the same name in an object."""


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _RepeatedError(name)
        found[name] = value
    return found


def metric(name: str, value: Any) -> float:
    """Return the value of a metric; null is NaN. Raises ``ValueError``, also for a name that is not valid."""
    if not is_parameter_name(name):
        raise ValueError(f"has a metric {name!r}; a name has letters, digits and '_', as in Python")
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"has {name}: {json.dumps(value)}, which is not a number")
    try:
        return float(value)
    except OverflowError:  # a whole number
        raise ValueError(f"has {name}: a number beyond the range of a float") from None


def append_line(file: Path, line: bytes) -> None:
    """Append a line to a file in one piece. Raises ``OSError``."""
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line.rstrip(b"\n") + b"\n")
    finally:
        os.close(descriptor)


def report_metrics(words: Sequence[str], epoch: int | None) -> None:
    """EpochMetrics metrics, each as ``name=value``, from a command that trains a trial.

    Raises ``UserError`` outside of one, and for what is not a metric.
    """
    file = os.environ.get(trial_variable("trial.metrics"))
    if not file:
        raise UserError(
            "metrics are reported by a command that trains a trial: $HPO_TRIAL_METRICS is not set"
        )
    document: dict[str, Any] = {} if epoch is None else {"epoch": epoch}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or name in document:
            raise UserError(f"{word!r}: write each metric once, e.g. val_accuracy=0.91")
        try:
            document[name] = float(text)
        except ValueError:
            raise UserError(f"{word!r}: {text!r} is not a number") from None
    line = json.dumps(document)
    try:
        parse_report(line)
    except ValueError as error:
        raise UserError(f"the report {error}") from None
    try:
        append_line(Path(file), line.encode())
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"the trial is over, or $HPO_TRIAL_METRICS is wrong: {file} is not there") from None


class Tail:
    """The lines that are appended to a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._read = 0
        self._rest = b""

    def lines(self, *, to_end: bool = False) -> list[str]:
        """Return the complete lines since the last call; with ``to_end``, also one without an end."""
        try:
            if self._file.stat().st_size > self._read:
                with self._file.open("rb") as file:
                    file.seek(self._read)
                    block = file.read()
                self._read += len(block)
                self._rest += block
        except OSError:  # not there yet
            return []
        whole, self._rest = self._rest.split(b"\n"), b""
        if not to_end:
            self._rest = whole.pop()
        return [text for each in whole if (text := each.decode(errors="replace").strip())]


@dataclass
class ReportedEpochs:
    """The metrics of a trial's epochs, in order, over all attempts."""

    budget: int | None = None
    epochs: list[Mapping[str, float]] = field(default_factory=list)
    are_numbered: bool = True
    """Whether every report had the number of its epoch."""
    may_rewind: bool = True
    """Whether the next report may be of an earlier epoch: the first one of an attempt."""

    def add(self, report: EpochMetrics) -> int:
        """Add a report; epochs that it skips have no metrics. Return how many epochs it leaves as they were.

        Raises ``ValueError`` for an epoch out of order.
        """
        last = len(self.epochs)
        number = report.epoch or (1 if self.may_rewind else last + 1)
        self._check(number, last)
        self.are_numbered = self.are_numbered and report.epoch is not None
        self.may_rewind = False
        kept = min(last, number - 1)
        del self.epochs[kept:]
        self.epochs += [{} for _ in range(kept, number - 1)]
        self.epochs.append(report.metrics)
        return kept

    def _check(self, number: int, last: int) -> None:
        if self.budget is not None and number > self.budget:
            raise ValueError(f"is of epoch {number}, beyond the budget of {self.budget} ({{trial.budget}})")
        if number == last and not self.may_rewind:
            raise ValueError(f"is of epoch {number} again: report all metrics of an epoch at once")
        if number > last + 1 + MOST_SKIPPED or (number <= last and not self.may_rewind):
            raise ValueError(f"is of epoch {number}, which cannot follow epoch {last}")

    @classmethod
    def of_earlier(cls, files: Sequence[Path], budget: int | None) -> ReportedEpochs:
        """Return what earlier attempts have reported, without lines that were cut off."""
        found = cls(budget)
        for file in files:
            found.may_rewind = True
            for line in Tail(file).lines():
                try:
                    found.add(parse_report(line))
                except ValueError:
                    continue
        found.may_rewind = True
        return found
