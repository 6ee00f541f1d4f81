"""The recorded table: configurations of a study with their real learning curves, in one small file."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import text

from hpo.results.query import results_engine

FILE = Path(__file__).parents[1] / "learning_curves.csv.gz"
SEARCHED = ("lr", "weight_decay", "activation", "initializer", "batch_norm", "optimizer", "momentum")
CONFIRMING = "again"
"""The stage of recording.yaml that trains the best configurations with other seeds."""
AGAIN, EPOCH, ENDED = "again_", "epoch_", "ended"
"""How columns begin, and what stands for a training with another seed that a check ended."""
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
    end. ``again`` has the results of the trainings with other seeds, as many as there were of this
    configuration, None of one that a check ended.
    """

    number: int
    values: dict[str, Any]
    curve: tuple[float, ...]
    cause: str
    again: tuple[float | None, ...] = ()

    @property
    def best(self) -> float:
        """Its result: the best accuracy of any epoch."""
        return max(self.curve, default=0.0)


@dataclass(frozen=True)
class Curves:
    """The whole table: trainings of ``epochs`` epochs."""

    epochs: int
    trials: tuple[Recorded, ...]

    def threshold(self, share: float) -> float:
        """The result that ``share`` of all configurations reach."""
        best = sorted((each.best for each in self.trials), reverse=True)
        return best[max(1, round(share * len(best))) - 1]


def record(url: str, study: str, head: Sequence[str], path: Path = FILE) -> Curves:
    """Write the study's finished trials to a file, ``head`` above them as comments; numbered by slot."""
    drawn, again, curves = _read(url, study)
    repeats = max((len(each) for each in again.values()), default=0)
    epochs = max(row.epochs for row in drawn)
    lines = io.StringIO()
    lines.writelines(f"# {line}\n" for line in head)
    writer = csv.writer(lines, lineterminator="\n")
    numbered = [f"{AGAIN}{i}" for i in range(1, repeats + 1)]
    points = [f"{EPOCH}{epoch}" for epoch in range(1, epochs + 1)]
    writer.writerow(["number", *SEARCHED, "ended_by", *numbered, *points])
    for row in drawn:
        values = [f"{value:.6g}" if isinstance(value, float) else value for value in _searched(row)]
        ended_by = "" if row.state == "complete" else row.cause
        others = again.get(_searched(row), [])
        accuracies = [f"{accuracy:.4f}" for accuracy in curves.get(row.trial_id, [])]
        padding = [""] * (epochs - len(accuracies))
        writer.writerow(
            [row.slot, *values, ended_by, *others, *[""] * (repeats - len(others)), *accuracies, *padding]
        )
    with gzip.GzipFile(path, "wb", mtime=0) as file:
        file.write(lines.getvalue().encode())
    return load(path)


def _read(url: str, study: str) -> tuple[list[Any], dict[tuple[Any, ...], list[str]], dict[int, list[float]]]:
    """The trials that were drawn, the results of their configurations with other seeds, and all curves."""
    engine = results_engine(url)
    with engine.connect() as connection:
        trials = connection.execute(_TRIALS, {"study": study}).all()
        points = connection.execute(_CURVES, {"study": study}).all()
    engine.dispose()
    curves: dict[int, list[float]] = {}
    for point in points:
        curves.setdefault(point.trial_id, []).append(point.val_accuracy)
    again: dict[tuple[Any, ...], list[str]] = {}
    for row in trials:
        if row.stage == CONFIRMING:
            result = f"{max(curves[row.trial_id]):.4f}" if row.state == "complete" else ENDED
            again.setdefault(_searched(row), []).append(result)
    return [row for row in trials if row.stage != CONFIRMING], again, curves


def _searched(row: Any) -> tuple[Any, ...]:
    return tuple(row[-len(SEARCHED) :])


def load(path: Path = FILE) -> Curves:
    """The recorded table."""
    lines = [line for line in gzip.decompress(path.read_bytes()).decode().splitlines() if line[0] != "#"]
    rows = list(csv.DictReader(lines))
    points = sum(name.startswith(EPOCH) for name in rows[0])
    return Curves(points, tuple(_recorded(row) for row in rows))


def _recorded(row: dict[str, str]) -> Recorded:
    numbers = ("lr", "weight_decay", "momentum")
    values: dict[str, Any] = {
        name: (float(row[name]) if row[name] else None) if name in numbers else row[name] for name in SEARCHED
    }
    curve = tuple(float(value) for value in _columns(row, EPOCH))
    again = tuple(None if value == ENDED else float(value) for value in _columns(row, AGAIN))
    return Recorded(int(row["number"]), values, curve, row["ended_by"], again)


def _columns(row: dict[str, str], begin: str) -> list[str]:
    return [value for name, value in row.items() if name.startswith(begin) and value]
