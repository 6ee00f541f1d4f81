"""How many trials failed for each cause, and where in the space they lie.

The condition that separates them best is found by Fisher's exact test, corrected for all conditions tested
(Tarone 1990), as a decision tree finds its first split.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from hpo.checks.causes import CAUSES, OUTCOMES
from hpo.diagnosis.base import ALPHA, StudyResults
from hpo.diagnosis.changes import keep_out
from hpo.diagnosis.conditions import TrialTable, condition_text
from hpo.diagnosis.regions import FEWEST, Region, Regions
from hpo.records import StudyFinding

ANY = "any"
"""In place of a cause: every trial that failed or did not learn."""
VERBS = {
    "exploding_loss": "exploded",
    "not_learning": "did not learn",
    "out_of_memory": "ran out of memory",
    "error": "ended in an error",
    "underfitting": "underfit",
    "overfitting": "overfit",
    ANY: "failed or did not learn",
}
"""Causes as verbs; the labels of other causes are nouns."""


def failures(results: StudyResults, table: TrialTable) -> list[StudyFinding]:
    """Report where the trials of each cause lie, and all failures, where chance does not explain it."""
    causes = Counter(trial.cause for trial in results.trials if trial.cause not in OUTCOMES)
    hits = {
        cause: np.array([trial.cause == cause for trial in results.trials], bool)
        for cause, count in causes.most_common()
        if count >= FEWEST
    }
    hits[ANY] = np.array([results.failed(trial) for trial in results.trials], bool)
    regions = Regions(results.spec, table)
    found: list[StudyFinding] = []
    places: list[set[Any]] = []
    for cause, mask in hits.items():
        region = regions.find(mask, ALPHA / len(hits))
        if region is None:
            continue
        place = {(each.name, each.kind) for each in region[0].conditions}
        if cause != ANY or place not in places:
            found.append(_finding(results, table, cause, int(mask.sum()), *region))
            places.append(place)
    return found


def _finding(
    results: StudyResults, table: TrialTable, cause: str, count: int, region: Region, limit: float
) -> StudyFinding:
    inside = table.holding_all(region.conditions)
    failed = sum(results.failed(trial) for trial, is_in in zip(results.trials, inside, strict=True) if is_in)
    total = len(results.trials)
    here, elsewhere = f"{region.hits} of {region.size}", f"{count - region.hits} of {total - region.size}"
    if cause in VERBS:
        what = f"{here} {VERBS[cause]}; elsewhere {elsewhere}"
    else:
        name = CAUSES[cause].label if cause in CAUSES else cause
        what = f"{name} in {here}; elsewhere in {elsewhere}"
    remedy, change = keep_out(results, table, region.conditions)
    return StudyFinding(
        check="failures",
        severity="warn" if 2 * failed >= region.size else "note",
        message=f"{condition_text(region.conditions)}: {what}",
        evidence={"cause": cause, **region.evidence(count, total, limit)},
        remedy=remedy,
        change=change,
    )
