"""Choices, and pairs of choices, with which no trial learned.

Where most trials fail, 0 of n is not surprising: it is reported where n failures would be unlikely if these
trials learned as often as all, by Fisher's exact test over all choices and pairs (Tarone 1990).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from hpo.diagnosis.base import ALPHA, StudyResults
from hpo.diagnosis.changes import keep_out
from hpo.diagnosis.conditions import Condition, Mask, TrialTable, choices, condition_text
from hpo.diagnosis.fisher import fisher, level
from hpo.diagnosis.regions import REDUNDANT
from hpo.records import StudyFinding


def never_works(results: StudyResults, table: TrialTable) -> list[StudyFinding]:
    """Report each choice that never learned, and each pair that neither choice explains alone."""
    failed = np.array([results.failed(trial) for trial in results.trials], bool)
    single = choices(results.spec.space)
    pairs = [pair for pair in combinations(single, 2) if pair[0].name != pair[1].name]
    tried: list[tuple[tuple[Condition, ...], Mask]] = [((each,), table.holding(each)) for each in single]
    tried += [(pair, table.holding_all(pair)) for pair in pairs]
    least = [_p_of_none(int(rows.sum()), failed) for _, rows in tried]
    limit = level(least, ALPHA)
    found: list[tuple[Condition, ...]] = []
    findings = []
    for (conditions, rows), p in zip(tried, least, strict=True):
        if p > limit or not failed[rows].all() or any(set(each) <= set(conditions) for each in found):
            continue
        if len(conditions) == 2 and _is_one_to_blame(conditions, rows, table, failed):
            continue
        found.append(conditions)
        findings.append(_finding(results, table, conditions, rows, failed, p, limit))
    return findings


def _p_of_none(size: int, failed: Mask) -> float:
    """Return the probability that ``size`` random trials all failed; 1 if fewer trials did."""
    failures = int(failed.sum())
    return fisher(size, size, failures, len(failed)) if size <= failures else 1.0


def _is_one_to_blame(conditions: Sequence[Condition], rows: Mask, table: TrialTable, failed: Mask) -> bool:
    """Whether one of the two explains the failures alone."""
    size = int(rows.sum())
    return any(_p_of_none(size, failed[table.holding(each)]) > REDUNDANT for each in conditions)


def _finding(
    results: StudyResults,
    table: TrialTable,
    conditions: Sequence[Condition],
    rows: Mask,
    failed: Mask,
    p: float,
    limit: float,
) -> StudyFinding:
    elsewhere = int((~failed[~rows]).sum())
    remedy, change = keep_out(results, table, conditions)
    return StudyFinding(
        check="never_works",
        severity="warn",
        message=(
            f"{condition_text(conditions)}: 0 of {rows.sum()} learned; "
            f"elsewhere {elsewhere} of {(~rows).sum()}"
        ),
        evidence={
            "where": [each.as_dict() for each in conditions],
            "trials": int(rows.sum()),
            "learned_elsewhere": elsewhere,
            "trials_elsewhere": int((~rows).sum()),
            "p_value": p,
            "p_limit": limit,
        },
        remedy=remedy,
        change=change,
    )
