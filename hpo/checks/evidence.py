"""What a training without a warning has shown: that it learned, or only that nothing wrong was seen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hpo.checks.facts import SUPPLIED, Fact, loss_kind, task
from hpo.checks.judge import checked
from hpo.checks.observations import Observations
from hpo.records import Finding
from hpo.text import counted, listed

_OF_THE_TASK = frozenset({Fact.CLASSIFICATION, Fact.CROSS_ENTROPY, Fact.SUPERVISED, Fact.LOSS_FALLS})
_LEAST_STEPS = 20
"""Fewer reported losses are not a training."""
_EXPLAINED = 0.8
"""Of the labels' variance: a squared error above it is that of a constant answer."""
_WINDOW = 20
_NAMED = 3


@dataclass(frozen=True)
class Coverage:
    """What the checks of a training looked at."""

    checks: int
    """Checks that had what they need."""
    steps: int
    epochs: int
    learned: bool
    """Whether the numbers show that the network learned."""
    missing: Mapping[str, frozenset[Fact]]
    """By skipped check, the facts that it lacks."""
    is_task_known: bool

    @property
    def is_enough(self) -> bool:
        """Whether a training was seen at all."""
        return self.checks > 0 and (self.steps >= _LEAST_STEPS or self.epochs > 0)

    @property
    def seen(self) -> str:
        """What was looked at: ``31 checks, 24 epochs``."""
        length = counted(self.epochs, "epoch") if self.epochs else counted(self.steps, "step")
        return f"{counted(self.checks, 'check')}, {length}"

    @property
    def off(self) -> str:
        """Which checks a caller could switch on, and how; empty if none."""
        names = sorted(name for name, lacking in self.missing.items() if self._is_applicable(lacking))
        if not names:
            return ""
        shown = listed(names, _NAMED)
        return f"{counted(len(names), 'check was', 'checks were')} off ({shown})"

    @property
    def advice(self) -> str:
        """What to pass to switch them on; empty if there is nothing to add."""
        lacking = frozenset().union(*filter(self._is_applicable, self.missing.values()))
        wanted = [fact.value for fact in Fact if fact in lacking and self._is_wanted(fact)]
        return "; ".join(wanted)

    def _is_applicable(self, lacking: frozenset[Fact]) -> bool:
        return all(self._is_wanted(fact) for fact in lacking)

    def _is_wanted(self, fact: Fact) -> bool:
        """Whether a caller could make the fact known: a known task is what it is."""
        return fact in SUPPLIED or (not self.is_task_known and fact in _OF_THE_TASK)


def coverage(seen: Observations, findings: Sequence[Finding]) -> Coverage:
    """Return what the checks of a training looked at."""
    checks, missing = checked(seen)
    return Coverage(
        checks, seen.steps, len(seen.curve), _learned(seen, findings), missing, task(seen) is not None
    )


def _learned(seen: Observations, findings: Sequence[Finding]) -> bool:
    if any(finding.check == "same_batch" and finding.value == 1 for finding in findings):
        return False  # what one batch shows, seen again and again, is memory
    if any(finding.check == "learned" and finding.severity == "pass" for finding in findings):
        return True
    return task(seen) == "regression" and loss_kind(seen) == "mse" and _explains(seen)


def _explains(seen: Observations) -> bool:
    """Whether the last losses, squared errors, are clearly below the variance of the labels."""
    variance = seen.labels.variance if seen.labels is not None else math.nan
    last = seen.losses[-_WINDOW:]
    return len(last) == _WINDOW and float(last.mean()) < _EXPLAINED * variance
