"""What pictures of a study are drawn from: its trials as points, its hyperparameters as axes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from sqlalchemy import Engine

from hpo.checks.causes import HEALTHY
from hpo.config.configuration import applies
from hpo.config.fields import setting
from hpo.config.space import Choice, Distribution, Log
from hpo.config.study import TEST, StudySpec
from hpo.queries.study import StudyOverview, TrialSummary, study_curves, study_overview
from hpo.reporting.figures.style import RUNNING, STOPPED_EARLY, cause_words
from hpo.reporting.formatting import printable

MOST_DRAWN = 400
"""More would be a blot, and a page of many megabytes: of a larger study every k-th trial is drawn."""
_BEST_DRAWN = 10
"""So many of the best are always among them."""
_UNITS = {
    "batch_size": "images a step",
    "depth": "layers",
    "dropout": "probability",
    "epochs": "passes over the images",
    "gradient_clip": "L2 norm",
    "init_std": "standard deviation",
    "label_smoothing": "share of the target",
    "maxout_pieces": "pieces",
    "max_norm": "L2 norm",
    "norm_groups": "groups of channels",
    "pca_components": "components",
    "step_epochs": "epochs",
    "train_images": "images",
    "val_fraction": "share of the images",
    "warmup_epochs": "epochs",
    "width": "channels",
}


@dataclass(frozen=True)
class Axis:
    """A searched hyperparameter: a range of numbers, or ``choices`` as they are written."""

    name: str
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    choices: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The name with what its numbers mean."""
        notes = [_UNITS[self.name]] if self.name in _UNITS else []
        notes += ["log scale"] if self.log else []
        return f"{self.name} ({', '.join(notes)})" if notes else self.name

    def position(self, value: Any) -> float | None:
        """Where a value stands between 0 and 1, the ends included; None where it is not on the axis."""
        if self.choices:
            text = choice_text(value)
            return (self.choices.index(text) + 0.5) / len(self.choices) if text in self.choices else None
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return None
        scale = math.log if self.log else float
        return (scale(value) - scale(self.low)) / (scale(self.high) - scale(self.low))


@dataclass(frozen=True)
class Point:
    """A trial; ``cause`` is its verdict's, or why it has none; ``curve`` holds (epoch, val_accuracy)."""

    number: int
    cause: str
    value: float | None
    values: Mapping[str, Any]
    curve: Sequence[tuple[int, float]] = ()

    @property
    def tip(self) -> str:
        """What a mark says when it is pointed at."""
        value = "" if self.value is None else f", {self.value:.4f}"
        searched = "".join(f"\n{name} {setting(value)}" for name, value in self.values.items())
        return printable(f"trial {self.number}{value}\n{cause_words(self.cause)}{searched}")


@dataclass(frozen=True)
class StudyPicture:
    """A study, as pictures see it; ``chance`` is the accuracy of guessing, where that is known."""

    study: str
    axes: tuple[Axis, ...]
    points: tuple[Point, ...]
    objective: str = "validation accuracy"
    maximize: bool = True
    chance: float | None = None

    @cached_property
    def drawn(self) -> tuple[Point, ...]:
        """The trials that pictures show: all of them, or as many as can be told apart."""
        step = -(-len(self.points) // MOST_DRAWN) or 1
        kept = {point.number for point in (*self.points[::step], *self.ranked[:_BEST_DRAWN])}
        return tuple(point for point in self.points if point.number in kept)

    @property
    def remark(self) -> str:
        """Which trials are drawn, where not all are."""
        all_are = len(self.drawn) == len(self.points)
        return "" if all_are else f"{len(self.drawn)} of {len(self.points):,} trials are drawn"

    @property
    def causes(self) -> list[str]:
        """Every cause that occurs: healthy first, then the most frequent."""
        counts = Counter(point.cause for point in self.points)
        return sorted(counts, key=lambda cause: (cause != HEALTHY, -counts[cause], cause))

    def of(self, cause: str) -> list[Point]:
        """The trials with that cause that are drawn."""
        return [point for point in self.drawn if point.cause == cause]

    def count(self, cause: str) -> int:
        """How many trials have that cause, drawn or not."""
        return sum(point.cause == cause for point in self.points)

    @cached_property
    def ranked(self) -> list[Point]:
        """Trials with a value, best first."""
        sign = -1 if self.maximize else 1
        valued = [point for point in self.points if point.value is not None]
        return sorted(valued, key=lambda point: (sign * (point.value or 0.0), point.number))

    @property
    def tips(self) -> dict[int, str]:
        """What each trial's marks say."""
        return {point.number: point.tip for point in self.drawn}


def study_picture(engine: Engine, name: str) -> StudyPicture:
    """A study of hpo's from its database; raises ``UnknownStudyError``."""
    return picture_of(engine, study_overview(engine, name))


def picture_of(engine: Engine, overview: StudyOverview) -> StudyPicture:
    """The same, of an overview that was read already. The look at the test images is left out."""
    spec = StudySpec.model_validate(overview.spec)
    picture = StudyPicture(
        study=overview.name,
        axes=tuple(_axis(name, each) for name, each in spec.space.items()),
        points=tuple(_point(spec, trial) for trial in overview.trials if trial.stage != TEST),
        chance=1 / overview.classes if overview.classes else None,
    )
    curves = study_curves(engine, overview.name, {point.number for point in picture.drawn})
    points = tuple(replace(point, curve=curves.get(point.number, ())) for point in picture.points)
    return replace(picture, points=points)


def choice_text(value: Any) -> str:
    """A choice as it stands on an axis."""
    return printable(setting(value))


def cause_of(trial: TrialSummary) -> str:
    """The trial's cause; what stands for it where it is not over, or ended though nothing was wrong."""
    if trial.state in ("running", "waiting", "paused"):
        return RUNNING
    if trial.state == "complete":
        return trial.cause or HEALTHY
    return STOPPED_EARLY if trial.cause == HEALTHY else trial.cause or "error"


def _axis(name: str, distribution: Distribution) -> Axis:
    if isinstance(distribution, Choice):
        return Axis(name, choices=tuple(map(choice_text, distribution.choice)))
    low, high = distribution.bounds
    return Axis(name, low, high, isinstance(distribution, Log))


def _point(spec: StudySpec, trial: TrialSummary) -> Point:
    """A value counts only for a trial that is complete: that of a stopped one belongs to fewer epochs."""
    values = {
        name: trial.configuration[name]
        for name, distribution in spec.space.items()
        if distribution.active(trial.configuration) and applies(name, trial.configuration)
    }
    value = trial.value if trial.state == "complete" else None
    return Point(trial.number, cause_of(trial), value, values)
