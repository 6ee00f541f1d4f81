"""How much of the time went into trials that came to nothing."""

from __future__ import annotations

from hpo.diagnosis.base import StudyResults
from hpo.records import StudyFinding

FEWEST_TRIALS = 10
NOTABLE = 0.1
"""Share of the time from which it is said; below, the checks stopped what was hopeless soon enough."""
LARGE = 0.5
"""Share from which it is a warning: the space is mostly hopeless."""


def cost(results: StudyResults) -> list[StudyFinding]:
    """A finding if failures took a tenth of the time or more."""
    trials = results.trials
    failed = [trial for trial in trials if results.failed(trial)]
    seconds, wasted = (sum(trial.seconds for trial in each) for each in (trials, failed))
    if len(trials) < FEWEST_TRIALS or not seconds or wasted < NOTABLE * seconds:
        return []
    share = wasted / seconds
    return [
        StudyFinding(
            check="cost",
            severity="warn" if share >= LARGE else "note",
            message=f"{len(failed)} of {len(trials)} trials came to nothing and took {share:.0%} of the time",
            evidence={
                "failed": len(failed),
                "trials": len(trials),
                "seconds_failed": wasted,
                "seconds": seconds,
                "share": share,
            },
        )
    ]
