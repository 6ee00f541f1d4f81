"""The recorded table: configurations of a study with their real learning curves, in one small file."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from hpo.storage.studies import results_engine

FILE = Path(__file__).parents[1] / "learning_curves.csv.gz"
SEARCHED = ("lr", "weight_decay", "activation", "initializer", "batch_norm", "optimizer", "momentum")
CONFIRMING = "again"
"""The stage of recording.yaml that trains the best configurations with other seeds."""
AGAIN, SHORT_EPOCH, EPOCH, ENDED = "again_", "short_epoch_", "epoch_", "ended"
"""Prefixes of columns, and the mark of a training with another seed that a check ended."""
SHORT, SHORT_ENDED_BY = "-short", "short_ended_by"
"""Suffix of the names of studies of short trainings, and the column of what ended them."""
_TRIALS = text(
    f"SELECT trial_id, slot, stage, epochs, cause, state, {', '.join(SEARCHED)} FROM results "
    "WHERE study = :study AND stage <> 'test' AND state IN ('complete', 'pruned') ORDER BY slot"
)
_CURVES = text(
    "SELECT trial_id, epoch, val_accuracy FROM curves WHERE study = :study ORDER BY trial_id, epoch"
)


@dataclass(frozen=True)
class Recorded:
    """A configuration, and its validation accuracy after each epoch that it was trained.

    ``cause`` is why a check ended it, after which its curve may have no epoch; empty if it was trained to its
    end. ``again`` has the result of each training of this configuration with another seed, None for one
    that a check ended. ``short`` is the curve of a training of few epochs, with its own schedule, and
    ``short_cause`` why a check ended that.
    """

    number: int
    values: dict[str, Any]
    curve: tuple[float, ...]
    cause: str
    again: tuple[float | None, ...] = ()
    short: tuple[float, ...] = ()
    short_cause: str = ""

    @property
    def best(self) -> float:
        """Its result: the best accuracy of any epoch."""
        return max(self.curve, default=0.0)


@dataclass(frozen=True)
class Curves:
    """The whole table: trainings of ``epochs`` epochs."""

    epochs: int
    trials: tuple[Recorded, ...]
    short_epochs: int = 0

    def part(self, first: int, last: int) -> Curves:
        """Return the configurations with these numbers, both included."""
        return replace(self, trials=tuple(each for each in self.trials if first <= each.number <= last))

    @property
    def shortened(self) -> Curves:
        """Return the same configurations with their short trainings."""
        trials = tuple(replace(each, curve=each.short, cause=each.short_cause) for each in self.trials)
        return Curves(self.short_epochs, trials)

    def threshold(self, share: float) -> float:
        """Return the result that ``share`` of all configurations reach."""
        best = sorted((each.best for each in self.trials), reverse=True)
        return best[max(1, round(share * len(best))) - 1]


def record(url: str, studies: Sequence[str], head: Sequence[str], path: Path = FILE) -> Curves:
    """Write the studies' finished trials to a file, ``head`` above them as comments.

    Numbered by slot, those of a later study after those of the one before; with the short trainings, from the
    study whose name ends in SHORT.
    """
    engine = results_engine(url)
    rows: list[dict[str, Any]] = []
    with engine.connect() as connection:
        for study in studies:
            rows += _rows(connection, study, number=len(rows))
    engine.dispose()
    write(path, head, rows)
    return load(path)


def _rows(connection: Connection, study: str, number: int) -> list[dict[str, Any]]:
    trials, short = _read(connection, study), _read(connection, study + SHORT)
    drawn = [each for each in trials if each.stage != CONFIRMING]
    again: dict[tuple[Any, ...], list[str]] = {}
    for each in trials:
        if each.stage == CONFIRMING:
            again.setdefault(each.searched, []).append(ENDED if each.ended_by else f"{max(each.curve):.4f}")
    shorts = {each.searched: each for each in short}
    return [
        {
            "number": number + each.slot,
            **{
                name: f"{value:.6g}" if isinstance(value, float) else value
                for name, value in zip(SEARCHED, each.searched, strict=True)
            },
            "ended_by": each.ended_by,
            **_numbered(AGAIN, again.get(each.searched, [])),
            **_shown(shorts.get(each.searched)),
            **_numbered(EPOCH, [f"{accuracy:.4f}" for accuracy in each.curve]),
        }
        for each in drawn
    ]


@dataclass(frozen=True)
class _Trained:
    slot: int
    stage: str
    searched: tuple[Any, ...]
    ended_by: str
    curve: tuple[float, ...]


def _read(connection: Connection, study: str) -> list[_Trained]:
    curves: dict[int, list[float]] = {}
    for point in connection.execute(_CURVES, {"study": study}):
        curves.setdefault(point.trial_id, []).append(point.val_accuracy)
    return [
        _Trained(
            row.slot,
            row.stage,
            tuple(row[-len(SEARCHED) :]),
            "" if row.state == "complete" else row.cause,
            tuple(curves.get(row.trial_id, [])),
        )
        for row in connection.execute(_TRIALS, {"study": study})
    ]


def _shown(short: _Trained | None) -> dict[str, str]:
    if short is None:
        return {}
    return {
        SHORT_ENDED_BY: short.ended_by,
        **_numbered(SHORT_EPOCH, [f"{accuracy:.4f}" for accuracy in short.curve]),
    }


def _numbered(begin: str, values: Sequence[str]) -> dict[str, str]:
    return {f"{begin}{i}": value for i, value in enumerate(values, start=1)}


def write(path: Path, head: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    """Write the table, ``head`` above it as comments; a row has the columns that it has a value for."""
    begins = ("number", *SEARCHED, "ended_by", AGAIN, SHORT_ENDED_BY, SHORT_EPOCH, EPOCH)
    known = dict.fromkeys(name for row in sorted(rows, key=len, reverse=True) for name in row)
    columns = [name for begin in begins for name in known if name.startswith(begin)]
    lines = io.StringIO()
    lines.writelines(f"# {line}\n" for line in head)
    writer = csv.DictWriter(lines, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with gzip.GzipFile(path, "wb", mtime=0) as file:
        file.write(lines.getvalue().encode())


def load(path: Path = FILE) -> Curves:
    """Return the recorded table."""
    lines = [line for line in gzip.decompress(path.read_bytes()).decode().splitlines() if line[0] != "#"]
    rows = list(csv.DictReader(lines))
    points = [sum(name.startswith(begin) for name in rows[0]) for begin in (EPOCH, SHORT_EPOCH)]
    return Curves(points[0], tuple(_recorded(row) for row in rows), points[1])


def _recorded(row: dict[str, str]) -> Recorded:
    numbers = ("lr", "weight_decay", "momentum")
    values: dict[str, Any] = {
        name: (float(row[name]) if row[name] else None) if name in numbers else row[name] for name in SEARCHED
    }
    return Recorded(
        number=int(row["number"]),
        values=values,
        curve=tuple(float(value) for value in _columns(row, EPOCH)),
        cause=row["ended_by"],
        again=tuple(None if value == ENDED else float(value) for value in _columns(row, AGAIN)),
        short=tuple(float(value) for value in _columns(row, SHORT_EPOCH)),
        short_cause=row.get(SHORT_ENDED_BY, ""),
    )


def _columns(row: dict[str, str], begin: str) -> list[str]:
    return [value for name, value in row.items() if name.startswith(begin) and value]
