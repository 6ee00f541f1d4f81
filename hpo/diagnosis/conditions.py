"""Conditions on hyperparameters, such as ``lr above 0.12``, and the trials that meet them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from hpo.config.fields import setting
from hpo.config.space import Choice, Distribution, Integer, Log
from hpo.diagnosis.base import StudyResults

Mask = npt.NDArray[np.bool_]

MOST_THRESHOLDS = 100
"""Per hyperparameter: more would cost time without a benefit."""


@dataclass(frozen=True)
class Condition:
    """A hyperparameter above or below a threshold, or at one of its choices."""

    name: str
    kind: Literal["above", "below", "is"]
    value: Any

    def __str__(self) -> str:
        side = "" if self.kind == "is" else f"{self.kind} "
        return f"{self.name} {side}{setting(self.value)}"

    def as_dict(self) -> dict[str, Any]:
        """Return the condition for programs: ``{"name": "lr", "above": 0.12}``."""
        return {"name": self.name, self.kind: self.value}


def condition_text(conditions: Sequence[Condition]) -> str:
    """Return ``activation sigmoid with batch_norm none``."""
    return " with ".join(map(str, conditions))


class TrialTable:
    """The searched values of n trials, one column per hyperparameter."""

    def __init__(self, columns: Mapping[str, tuple[Mask, npt.NDArray[Any]]], size: int) -> None:
        self._columns = columns
        self.size = size

    @staticmethod
    def of(results: StudyResults) -> TrialTable:
        """Return the table of all finished trials of a study."""
        trials = results.trials
        columns = {}
        for name, distribution in results.spec.space.items():
            has = np.array([name in trial.values for trial in trials], bool)
            kind: Any = object if isinstance(distribution, Choice) else float
            columns[name] = has, np.array([trial.values.get(name) for trial in trials], kind)
        return TrialTable(columns, len(trials))

    def distinct(self, name: str) -> list[float]:
        """Return the distinct values of a number, sorted."""
        has, values = self._columns[name]
        return np.unique(values[has]).tolist()  # type: ignore[no-any-return]

    def having(self, condition: Condition) -> Mask:
        """Return which trials (n,) have the condition's hyperparameter."""
        return self._columns[condition.name][0]

    def holding(self, condition: Condition) -> Mask:
        """Return which trials (n,) meet the condition; none where its hyperparameter had no effect."""
        has, values = self._columns[condition.name]
        if condition.kind == "is":
            found = values == condition.value
        else:
            found = values > condition.value if condition.kind == "above" else values < condition.value
        return np.array(has & found, bool)

    def holding_all(self, conditions: Sequence[Condition]) -> Mask:
        """Return which trials (n,) meet all conditions."""
        return np.array(np.all([self.holding(each) for each in conditions], axis=0), bool)


def choices(space: Mapping[str, Distribution]) -> list[Condition]:
    """Return a condition for every choice of a space."""
    return [
        Condition(name, "is", value)
        for name, distribution in space.items()
        if isinstance(distribution, Choice) and len(distribution.choice) > 1
        for value in distribution.choice
    ]


def thresholds(
    space: Mapping[str, Distribution], table: TrialTable, most: int = MOST_THRESHOLDS
) -> list[Condition]:
    """Return both sides of at most ``most`` thresholds of each searched number, spread over the trials."""
    return [
        condition
        for name, distribution in space.items()
        if not isinstance(distribution, Choice)
        for condition in _thresholds(name, distribution, table.distinct(name), most)
    ]


def _thresholds(
    name: str, distribution: Distribution, seen: Sequence[float], most: int
) -> Iterator[Condition]:
    gaps = list(pairwise(seen))
    for i in np.unique(np.linspace(0, len(gaps) - 1, min(most, len(gaps))).round().astype(int)):
        below, above = gaps[i]
        if isinstance(distribution, Integer):
            yield Condition(name, "above", int(below))
            yield Condition(name, "below", int(above))
            continue
        between = short_between(below, above, isinstance(distribution, Log))
        yield Condition(name, "above", between)
        yield Condition(name, "below", between)


def short_between(low: float, high: float, log: bool) -> float:
    """Return a number with few digits about halfway between two others, on a log or a linear scale."""
    middle = math.sqrt(low * high) if log else (low + high) / 2
    for digits in range(17):
        short = float(f"{middle:.{digits}e}")
        if low < short < high:
            return short
    return low
