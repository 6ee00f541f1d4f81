"""Sound: a configuration that trains well, and whether it did."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from diagnosis_programs.bases import program
from diagnosis_programs.program import Program

SEEDS = (0, 1)
LEAST_ACCURACY = 0.28
"""Nearly three times chance, 12 standard errors of guessing on 1,000 images away."""
BELOW_MEDIAN = 0.15
"""As far below the median of its network's healthy programs a program may end: slow, but sound."""


@dataclass(frozen=True)
class Healthy:
    """A sound configuration, and what is special about it."""

    name: str
    kind: str
    """What is varied."""
    fields: Mapping[str, Any]
    parts: Mapping[str, Any]

    @property
    def network(self) -> str:
        """The model, whose other programs it is compared with."""
        return str(self.fields.get("model", "convnet"))

    def program(self) -> Program:
        """The training program."""
        return replace(program(**self.fields), **self.parts)


def trains_well(accuracies: Sequence[float], comparable: Sequence[float]) -> bool:
    """Whether a program's final accuracies (one per seed) are those of a sound training.

    ``comparable`` are the mean accuracies of all healthy programs with the same network.
    """
    limit = max(LEAST_ACCURACY, statistics.median(comparable) - BELOW_MEDIAN)
    return min(accuracies) >= limit


def healthy(kind: str, name: str, parts: Mapping[str, Any] | None = None, **fields: Any) -> Healthy:
    """A sound program with these fields beside the common ones, and these parts in place of the usual."""
    return Healthy(name, kind, fields, parts or {})
