"""Where in a space some trials lie: the one condition, or the two, that tell them best from the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hpo.checks.study.base import StudyResults
from hpo.checks.study.conditions import Condition, Mask, Table, choices, thresholds
from hpo.checks.study.exact import fisher, least_p, level

FEWEST = 3
"""Hits of which a region is made at least."""
SHARE = 0.5
"""Share of a region's trials that are hits at least: it has to hold more often than not ..."""
LIFT = 2.0
"""... and so many times as often as elsewhere: among thousands of trials, any difference is significant."""
COARSE = 7
"""Thresholds per hyperparameter when pairs of conditions are tried: the octiles."""
REDUNDANT = 0.05
"""A second condition is kept if a part of its size would do as well less often than this."""

_Counts = npt.NDArray[np.float64]
_Places = npt.NDArray[np.int_]


@dataclass(frozen=True)
class Region:
    """Trials that meet all conditions, and how many are hits; ``p`` is Fisher's, before correction."""

    conditions: tuple[Condition, ...]
    hits: int
    size: int
    p: float

    def evidence(self, all_hits: int, trials: int, limit: float) -> dict[str, Any]:
        """Its numbers for programs; ``limit`` is the largest p-value that counts."""
        return {
            "where": [each.as_dict() for each in self.conditions],
            "hits": self.hits,
            "trials": self.size,
            "hits_elsewhere": all_hits - self.hits,
            "trials_elsewhere": trials - self.size,
            "p_value": self.p,
            "p_limit": limit,
        }


def find_region(results: StudyResults, table: Table, hits: Mask, alpha: float) -> tuple[Region, float] | None:
    """The region of the hits (n,) and the largest p-value that counts; None if chance could make it.

    One condition if any is good enough, and then a second if it helps within that region (as in T. Hothorn,
    K. Hornik, A. Zeileis, Unbiased recursive partitioning, 2006); else the best pair.
    """
    if hits.sum() < FEWEST:
        return None
    space = results.spec.space
    singles = [(each,) for each in (*choices(space), *thresholds(space, table))]
    best, limit = _best(singles, table, hits, alpha / 2)
    if best is None:
        coarse = [*choices(space), *thresholds(space, table, COARSE)]
        best, limit = _best(_pairs(coarse), table, hits, alpha / 2)
        if best is None or _has_redundant(best, table, hits):
            return None
        return _refined(best, singles, table, hits), limit
    others = [each for each in singles if each[0].name != best.conditions[0].name]
    inside = table.holding_all(best.conditions)
    second, _ = _best(others, table.only(inside), hits[inside], alpha)
    if second is None:
        return best, limit
    pair = _measure((*best.conditions, *second.conditions), table, hits)
    return _refined(pair, singles, table, hits), limit


def _pairs(conditions: Sequence[Condition]) -> list[tuple[Condition, ...]]:
    return [
        (first, second)
        for i, first in enumerate(conditions)
        for second in conditions[i + 1 :]
        if first.name != second.name
    ]


def _best(
    candidates: Sequence[tuple[Condition, ...]], table: Table, hits: Mask, alpha: float
) -> tuple[Region | None, float]:
    """The candidate that tells hits from others best, if it does so beyond chance and is worth saying."""
    part, part_hits, total, total_hits = _count(candidates, table, hits)
    limit = level(
        (least_p(*map(int, each)) for each in zip(part, total_hits, total, strict=True)),
        alpha,
    )
    best: Region | None = None
    for i in np.flatnonzero(_worth_saying(part, part_hits, total, total_hits)).tolist():
        p = fisher(int(part_hits[i]), int(part[i]), int(total_hits[i]), int(total[i]))
        if p <= limit and (best is None or p < best.p):
            best = Region(tuple(candidates[i]), int(part_hits[i]), int(part[i]), p)
    return best, limit


def _count(
    candidates: Sequence[tuple[Condition, ...]], table: Table, hits: Mask
) -> tuple[_Counts, _Counts, _Counts, _Counts]:
    """For each candidate (c,): trials and hits in it, and among all that have its hyperparameters."""
    single = list(dict.fromkeys(condition for each in candidates for condition in each))
    place = {condition: i for i, condition in enumerate(single)}
    first = np.array([place[each[0]] for each in candidates], int)
    last = np.array([place[each[-1]] for each in candidates], int)
    holds = np.array([table.holding(each) for each in single], float).reshape(-1, table.size)
    has = np.array([table.having(each) for each in single], float).reshape(-1, table.size)
    in_both = _rowwise if np.array_equal(first, last) else _crosswise
    return (
        in_both(holds, first, last),
        in_both(holds * hits, first, last),
        in_both(has, first, last),
        in_both(has * hits, first, last),
    )


def _rowwise(matrix: _Counts, first: _Places, _last: _Places) -> _Counts:
    counts: _Counts = matrix[first].sum(1)
    return counts


def _crosswise(matrix: _Counts, first: _Places, last: _Places) -> _Counts:
    counts: _Counts = (matrix @ matrix.T)[first, last]
    return counts


def _worth_saying(part: _Counts, part_hits: _Counts, total: _Counts, total_hits: _Counts) -> Mask:
    elsewhere = (total_hits - part_hits) / np.maximum(total - part, 1)
    share = part_hits / np.maximum(part, 1)
    return (part_hits >= FEWEST) & (share >= SHARE) & (share >= LIFT * elsewhere) & (part < total)


def _measure(conditions: tuple[Condition, ...], table: Table, hits: Mask) -> Region:
    inside = table.holding_all(conditions)
    has = np.logical_and.reduce([table.having(each) for each in conditions])
    counts = int(hits[inside].sum()), int(inside.sum())
    return Region(conditions, *counts, fisher(*counts, int(hits[has].sum()), int(has.sum())))


def _has_redundant(region: Region, table: Table, hits: Mask) -> bool:
    """Whether one of two conditions might as well be left out."""
    for condition in region.conditions:
        inside = table.holding(condition)
        if fisher(region.hits, region.size, int(hits[inside].sum()), int(inside.sum())) > REDUNDANT:
            return True
    return False


def _refined(region: Region, singles: Sequence[tuple[Condition, ...]], table: Table, hits: Mask) -> Region:
    """The same region with the thresholds that fit best; it was found with coarse ones."""
    for i, condition in enumerate(region.conditions):
        if condition.kind == "is":
            continue
        finer = [each for (each,) in singles if (each.name, each.kind) == (condition.name, condition.kind)]
        others = region.conditions[:i], region.conditions[i + 1 :]
        tried = [_measure((*others[0], each, *others[1]), table, hits) for each in finer]
        best = min((each for each in tried if each.hits >= FEWEST), key=lambda each: each.p, default=region)
        region = best if best.p < region.p else region
    return region
