"""Group a study's trials with problems by cause."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from hpo.checks.causes import CAUSES, OUTCOMES
from hpo.diagnosis.base import StudyResults, TrialResult
from hpo.records import StudyFinding
from hpo.reporting import formatting


@dataclass(frozen=True)
class FailureGroup:
    """Trials with one cause, its label in verdicts, and their range of ``lr``, if that was searched.

    The range is None if a study finding already locates these failures.
    """

    cause: str
    label: str
    numbers: tuple[int, ...]
    lowest_lr: float | None
    highest_lr: float | None

    def __str__(self) -> str:
        lr = ""
        if self.lowest_lr is not None and self.highest_lr is not None:
            low, high = formatting.setting(self.lowest_lr), formatting.setting(self.highest_lr)
            lr = f", lr {low}" if low == high else f", lr {low} to {high}"
        numbers = ", ".join(map(str, self.numbers[:8])) + (" ..." if len(self.numbers) > 8 else "")
        return f"{self.label}: {formatting.counted(len(self.numbers), 'trial')}{lr} (number {numbers})"


def group_failures(results: StudyResults, found: Sequence[StudyFinding]) -> list[FailureGroup]:
    """Return the trials that have a cause by their verdict, the most frequent first."""
    groups: dict[str, list[TrialResult]] = defaultdict(list)
    for trial in results.trials:
        if trial.cause not in OUTCOMES:
            groups[trial.cause].append(trial)
    located = {finding.evidence.get("cause") for finding in found}
    failures = [_group(cause, trials, cause not in located) for cause, trials in groups.items()]
    return sorted(failures, key=lambda each: -len(each.numbers))


def _group(cause: str, trials: Sequence[TrialResult], with_lr: bool) -> FailureGroup:
    lrs = [trial.values["lr"] for trial in trials if with_lr and "lr" in trial.values]
    numbers = tuple(trial.number for trial in trials)
    label = CAUSES[cause].label if cause in CAUSES else cause
    return FailureGroup(cause, label, numbers, min(lrs, default=None), max(lrs, default=None))
