"""How many trials failed of each cause, and where in the space they lie.

Which condition separates them best is found by Fisher's exact test, corrected for all conditions tried
(Tarone 1990), as a decision tree finds its first split.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from hpo.checks.study.base import ALPHA, StudyFinding, StudyResults
from hpo.checks.study.conditions import Table, describe
from hpo.checks.study.regions import FEWEST, Region, find_region
from hpo.checks.study.remedies import keep_out
from hpo.checks.causes import HEALTHY

CAME_TO: dict[str, str] = {
    "bad start": "started badly",
    "out of memory": "ran out of memory",
    "error": "ended in an error",
}
"""What a trial of a cause did, where the cause's name does not say it as ``exploded`` does."""


def failures(results: StudyResults, table: Table) -> list[StudyFinding]:
    """One finding for each cause whose trials lie where chance would not put them."""
    causes = Counter(trial.cause for trial in results.trials if trial.cause != HEALTHY)
    tested = [cause for cause, count in causes.most_common() if count >= FEWEST]
    found = []
    for cause in tested:
        hits = np.array([trial.cause == cause for trial in results.trials], bool)
        region = find_region(results, table, hits, ALPHA / len(tested))
        if region is not None:
            found.append(_finding(results, table, cause, causes[cause], *region))
    return found


def _finding(
    results: StudyResults, table: Table, cause: str, count: int, region: Region, limit: float
) -> StudyFinding:
    inside = table.holding_all(region.conditions)
    failed = sum(results.failed(trial) for trial, is_in in zip(results.trials, inside, strict=True) if is_in)
    total = len(results.trials)
    remedy, change = keep_out(results, table, region.conditions)
    return StudyFinding(
        check="failures",
        severity="warn" if 2 * failed >= region.size else "note",
        message=(
            f"{describe(region.conditions)}: {region.hits} of {region.size} {CAME_TO.get(cause, cause)}; "
            f"elsewhere {count - region.hits} of {total - region.size}"
        ),
        evidence={"cause": cause, **region.evidence(count, total, limit)},
        remedy=remedy,
        change=change,
    )
