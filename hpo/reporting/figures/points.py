"""The data of a study's pictures: its trials as points, its hyperparameters as axes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from sqlalchemy import Engine

from hpo.checks.causes import HEALTHY, OUTCOMES
from hpo.checks.chance import constant_value
from hpo.config.fields import setting
from hpo.config.objective import ACCURACY, Objective
from hpo.config.space import Choice, Distribution, Log
from hpo.config.study import TEST, StudySpec
from hpo.queries.study import StudyOverview, TrialSummary, study_curves
from hpo.reporting.figures.style import RUNNING, STOPPED_EARLY, cause_label
from hpo.text import counted, printable

MOST_DRAWN = 400
"""More would overlap, and make a page of many megabytes: of a larger study every k-th trial is drawn."""
_BEST_DRAWN = 10
"""This many of the best trials are always drawn."""
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
    """A searched hyperparameter: a range of numbers, or ``choices`` as text."""

    name: str
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    choices: tuple[str, ...] = ()
    unit: str = ""

    @property
    def label(self) -> str:
        """The name with its unit and scale."""
        notes = [self.unit] if self.unit else []
        notes += ["log scale"] if self.log else []
        return f"{self.name} ({', '.join(notes)})" if notes else self.name

    def position(self, value: Any) -> float | None:
        """Return the position of a value in [0, 1], or None if it is not on the axis."""
        if self.choices:
            text = choice_text(value)
            return (self.choices.index(text) + 0.5) / len(self.choices) if text in self.choices else None
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return None
        scale = math.log if self.log else float
        return (scale(value) - scale(self.low)) / (scale(self.high) - scale(self.low))


@dataclass(frozen=True)
class Point:
    """A trial; ``cause`` is that of its verdict, or its state; ``curve`` has pairs (epoch, objective)."""

    number: int
    cause: str
    value: float | None
    values: Mapping[str, Any]
    curve: Sequence[tuple[int, float]] = ()

    def tip(self, goal: Objective) -> str:
        """Return the tooltip of the trial's marks."""
        value = "" if self.value is None else f", {goal.text(self.value)}"
        searched = "".join(f"\n{name} {setting(value)}" for name, value in self.values.items())
        return printable(f"trial {self.number}{value}\n{cause_label(self.cause)}{searched}")


@dataclass(frozen=True)
class StudyPicture:
    """The data of a study's pictures; ``chance`` is the objective of guessing, if known."""

    study: str
    axes: tuple[Axis, ...]
    points: tuple[Point, ...]
    goal: Objective = ACCURACY
    chance: float | None = None

    @property
    def objective(self) -> str:
        """What is optimized, in words."""
        return self.goal.label

    @cached_property
    def drawn(self) -> tuple[Point, ...]:
        """The trials that pictures show: all, or a part if there are too many."""
        step = -(-len(self.points) // MOST_DRAWN) or 1
        kept = {point.number for point in (*self.points[::step], *self.ranked[:_BEST_DRAWN])}
        return tuple(point for point in self.points if point.number in kept)

    @property
    def remark(self) -> str:
        """How many trials are drawn, if not all."""
        all_are = len(self.drawn) == len(self.points)
        return "" if all_are else f"{len(self.drawn)} of {counted(len(self.points), 'trial')} are drawn"

    @property
    def causes(self) -> list[str]:
        """The causes that occur: healthy first, then by frequency."""
        counts = Counter(point.cause for point in self.points)
        return sorted(counts, key=lambda cause: (cause != HEALTHY, -counts[cause], cause))

    def of(self, cause: str) -> list[Point]:
        """Return the drawn trials with this cause."""
        return [point for point in self.drawn if point.cause == cause]

    def count(self, cause: str) -> int:
        """Return the number of trials with this cause, drawn or not."""
        return sum(point.cause == cause for point in self.points)

    @cached_property
    def ranked(self) -> list[Point]:
        """The trials with a value, best first."""
        valued = [point for point in self.points if point.value is not None]
        return sorted(valued, key=lambda point: (-self.goal.score(point.value or 0.0), point.number))

    @property
    def tips(self) -> dict[int, str]:
        """The tooltips of the drawn trials by number."""
        return {point.number: point.tip(self.goal) for point in self.drawn}


def study_picture(engine: Engine, overview: StudyOverview) -> StudyPicture:
    """Read the data of a study's pictures, without evaluations on the test images."""
    spec = StudySpec.model_validate(overview.spec)
    units = {} if spec.is_own else _UNITS  # the same name may mean something else there
    picture = StudyPicture(
        study=overview.name,
        axes=tuple(_axis(name, each, units.get(name, "")) for name, each in spec.space.items()),
        points=tuple(_point(spec, trial) for trial in overview.trials if trial.stage != TEST),
        goal=spec.goal,
        chance=_chance(overview),
    )
    curves = study_curves(engine, overview.name, {point.number for point in picture.drawn})
    points = tuple(replace(point, curve=curves.get(point.number, ())) for point in picture.points)
    return replace(picture, points=points)


def _chance(overview: StudyOverview) -> float | None:
    """Return what the best constant answer reaches, if it is known for the objective."""
    if not overview.classes:
        return None
    return constant_value(
        overview.objective, overview.val_class_counts or overview.class_counts or (), overview.classes
    )


def choice_text(value: Any) -> str:
    """Return a choice as the axis shows it."""
    return printable(setting(value))


def cause_of(trial: TrialSummary) -> str:
    """Return the cause of a trial's verdict, or ``running`` or ``stopped_early`` in place of one."""
    if trial.state in ("running", "waiting", "paused"):
        return RUNNING
    if trial.state == "complete":
        return trial.cause or HEALTHY
    return STOPPED_EARLY if trial.cause in OUTCOMES else trial.cause or "error"


def _axis(name: str, distribution: Distribution, unit: str) -> Axis:
    if isinstance(distribution, Choice):
        return Axis(name, choices=tuple(map(choice_text, distribution.choice)), unit=unit)
    low, high = distribution.bounds
    return Axis(name, low, high, isinstance(distribution, Log), unit=unit)


def _point(spec: StudySpec, trial: TrialSummary) -> Point:
    """Only complete trials have a value: that of a stopped one is from fewer epochs."""
    value = trial.value if trial.state == "complete" else None
    return Point(trial.number, cause_of(trial), value, spec.searched(trial.configuration))
