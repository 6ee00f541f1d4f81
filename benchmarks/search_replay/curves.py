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
_TRIALS = text(
    f"SELECT trial_id, number, epochs, cause, state, {', '.join(SEARCHED)} FROM results "
    "WHERE study = :study AND state IN ('complete', 'pruned') ORDER BY number"
)
_CURVES = text(
    "SELECT trial_id, epoch, val_accuracy FROM curves WHERE study = :study ORDER BY trial_id, epoch"
)


@dataclass(frozen=True)
class Recorded:
    """A configuration, and its validation accuracy after each epoch that it was trained.

    ``cause`` is why a check ended it; empty if it was trained to its end. Then its curve may have no epoch.
    """

    number: int
    values: dict[str, Any]
    curve: tuple[float, ...]
    cause: str

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


def record(url: str, study: str, head: Sequence[str]) -> Curves:
    """Write the study's finished trials to FILE, ``head`` above them as comments."""
    engine = results_engine(url)
    with engine.connect() as connection:
        trials = connection.execute(_TRIALS, {"study": study}).all()
        points = connection.execute(_CURVES, {"study": study}).all()
    engine.dispose()
    curves: dict[int, list[float]] = {}
    for point in points:
        curves.setdefault(point.trial_id, []).append(point.val_accuracy)
    epochs = max(row.epochs for row in trials)
    lines = io.StringIO()
    lines.writelines(f"# {line}\n" for line in head)
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(["number", *SEARCHED, "ended_by", *(f"epoch_{epoch}" for epoch in range(1, epochs + 1))])
    for row in trials:
        values = [f"{value:.6g}" if isinstance(value, float) else value for value in row[5:]]
        ended_by = "" if row.state == "complete" else row.cause
        accuracies = [f"{accuracy:.4f}" for accuracy in curves.get(row.trial_id, [])]
        writer.writerow([row.number, *values, ended_by, *accuracies, *[""] * (epochs - len(accuracies))])
    with gzip.GzipFile(FILE, "wb", mtime=0) as file:
        file.write(lines.getvalue().encode())
    return load()


def load(path: Path = FILE) -> Curves:
    """The recorded table."""
    lines = [line for line in gzip.decompress(path.read_bytes()).decode().splitlines() if line[0] != "#"]
    rows = list(csv.DictReader(lines))
    points = [name for name in rows[0] if name.startswith("epoch_")]
    return Curves(len(points), tuple(_recorded(row, points) for row in rows))


def _recorded(row: dict[str, str], points: Sequence[str]) -> Recorded:
    numbers = ("lr", "weight_decay", "momentum")
    values: dict[str, Any] = {
        name: (float(row[name]) if row[name] else None) if name in numbers else row[name] for name in SEARCHED
    }
    curve = tuple(float(row[point]) for point in points if row[point])
    return Recorded(int(row["number"]), values, curve, row["ended_by"])
