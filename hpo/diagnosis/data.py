"""Data, labels and split, which all trials of a study share: judged once, with what all of them saw.

A single trial only notes its suspicion (``JUDGED_BY_STUDY``): it looks at a few hundred examples, and slow
progress looks like labels that do not match. The study accuses if most trials agree.
"""

from __future__ import annotations

from hpo.diagnosis.base import StudyResults, TrialResult
from hpo.records import StudyFinding
from hpo.text import counted

DATA_CHECKS = ("label_signal", "split_difference", "split_gap", "memorizes_only")
"""The checks of a trial that speak about what all trials share."""
_FEWEST = 3
"""Different measurements that must agree. Trials with the same value looked at the same examples."""


def data(results: StudyResults) -> list[StudyFinding]:
    """Report each suspicion that more than half of the trials share."""
    trials = [trial for trial in results.trials if trial.state != "failed"]
    return [found for check in DATA_CHECKS for found in _agreed(check, trials)]


def _agreed(check: str, trials: list[TrialResult]) -> list[StudyFinding]:
    seen = [(trial.number, each) for trial in trials for each in trial.suspicions if each.check == check]
    numbers = sorted({number for number, _ in seen})
    values = {each.value for _, each in seen}
    if len(values) < _FEWEST or 2 * len(numbers) <= len(trials):
        return []
    first = seen[0][1]
    return [
        StudyFinding(
            check="data",
            severity="warn",
            message=f"{len(numbers)} of {counted(len(trials), 'trial')} suspect the data they share: "
            f"{first.message}",
            evidence={"check": check, "trials": numbers, "of": len(trials), "measurements": len(values)},
            remedy=first.remedy,
        )
    ]
