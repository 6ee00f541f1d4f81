"""How much of the time was spent on trials that failed or did not learn."""

from __future__ import annotations

from hpo.diagnosis.base import StudyResults
from hpo.records import StudyFinding
from hpo.text import counted

FEWEST_TRIALS = 10
NOTABLE = 0.1
"""Share of the time above which it is reported; below it, the checks stopped hopeless trials early enough."""
LARGE = 0.5
"""Share above which it is a warning: most of the space is hopeless."""


def cost(results: StudyResults) -> list[StudyFinding]:
    """Report failures that took at least a tenth of the time."""
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
            message=(
                f"{len(failed)} of {counted(len(trials), 'trial')} failed or did not learn, and "
                f"took {share:.0%} of the time"
            ),
            evidence={
                "failed": len(failed),
                "trials": len(trials),
                "seconds_failed": wasted,
                "seconds": seconds,
                "share": share,
            },
        )
    ]
