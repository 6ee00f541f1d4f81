"""Where in a space some trials lie: the one or two conditions that separate them best from the others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hpo.config.study import StudySpec
from hpo.diagnosis.conditions import Condition, Mask, TrialTable, choices, thresholds
from hpo.diagnosis.fisher import fisher, least_p, level, log_fisher

FEWEST = 3
"""Minimum of hits in a region."""
SHARE = 0.5
"""Minimum share of hits among the trials of a region: it has to hold more often than not ..."""
LIFT = 2.0
"""... and this many times as often as elsewhere: with thousands of trials, any difference is significant."""
COARSE = 7
"""Thresholds per hyperparameter when pairs of conditions are tested: the octiles."""
REDUNDANT = 0.05
"""A second condition is kept if a random part of its size would do as well less often than this."""

_Counts = npt.NDArray[np.float64]
_Places = npt.NDArray[np.int_]


@dataclass(frozen=True)
class Region:
    """Trials that meet all conditions, and how many are hits; ``log_p`` is Fisher's, before correction."""

    conditions: tuple[Condition, ...]
    hits: int
    size: int
    log_p: float

    def evidence(self, all_hits: int, trials: int, limit: float) -> dict[str, Any]:
        """Return the numbers for programs; ``limit`` is the largest significant p-value."""
        return {
            "where": [each.as_dict() for each in self.conditions],
            "hits": self.hits,
            "trials": self.size,
            "hits_elsewhere": all_hits - self.hits,
            "trials_elsewhere": trials - self.size,
            "p_value": math.exp(self.log_p),
            "p_limit": limit,
        }


class Regions:
    """All candidate regions of a study's space, for any hits among its trials."""

    def __init__(self, spec: StudySpec, table: TrialTable) -> None:
        self._table = table
        single = (*choices(spec.space), *thresholds(spec.space, table))
        coarse = (*choices(spec.space), *thresholds(spec.space, table, COARSE))
        self._singles = _Candidates.singles(single, table)
        self._pairs = _Candidates.pairs(coarse, table)

    def find(self, hits: Mask, alpha: float) -> tuple[Region, float] | None:
        """Return the region of the hits (n,) and the largest significant p-value; None if chance explains it.

        One condition if any is good enough, and then a second if it helps within that region (as in T.
        Hothorn, K. Hornik, A. Zeileis, Unbiased recursive partitioning, 2006); else the best pair.
        """
        if hits.sum() < FEWEST:
            return None
        best, limit = self._singles.best(hits, alpha / 2)
        if best is None:
            best, limit = self._pairs.best(hits, alpha / 2)
            if best is None or self._has_redundant(best, hits):
                return None
            return self._refined(best, hits), limit
        inside = self._table.holding_all(best.conditions)
        within = self._singles.without(best.conditions[0].name).only(inside)
        second, _ = within.best(hits[inside], alpha)
        if second is None:
            return best, limit
        pair = self._measure((*best.conditions, *second.conditions), hits)
        return self._refined(pair, hits), limit

    def _measure(self, conditions: Sequence[Condition], hits: Mask) -> Region:
        inside = self._table.holding_all(conditions)
        has = np.logical_and.reduce([self._table.having(each) for each in conditions])
        counts = int(hits[inside].sum()), int(inside.sum())
        return Region(tuple(conditions), *counts, log_fisher(*counts, int(hits[has].sum()), int(has.sum())))

    def _has_redundant(self, region: Region, hits: Mask) -> bool:
        """Whether one of two conditions is redundant."""
        for condition in region.conditions:
            inside = self._table.holding(condition)
            if fisher(region.hits, region.size, int(hits[inside].sum()), int(inside.sum())) > REDUNDANT:
                return True
        return False

    def _refined(self, region: Region, hits: Mask) -> Region:
        """Return the same region, which was found with coarse thresholds, with those that fit best."""
        for i, condition in enumerate(region.conditions):
            if condition.kind == "is":
                continue
            before, after = region.conditions[:i], region.conditions[i + 1 :]
            tried = [
                self._measure((*before, each, *after), hits)
                for each in self._singles.conditions
                if (each.name, each.kind) == (condition.name, condition.kind)
            ]
            best = min((each for each in tried if each.hits >= FEWEST), key=lambda each: each.log_p)
            region = best if best.log_p < region.log_p else region
        return region


@dataclass(frozen=True)
class _Candidates:
    """Regions of one or two conditions: candidate k is where conditions first[k] and last[k] both hold.

    ``holds`` (c, n) and ``has`` (c, n) are 1 where a trial meets a condition, and where it has its
    hyperparameter.
    """

    conditions: tuple[Condition, ...]
    holds: _Counts
    has: _Counts
    first: _Places
    last: _Places

    @staticmethod
    def singles(conditions: Sequence[Condition], table: TrialTable) -> _Candidates:
        every = np.arange(len(conditions))
        return _Candidates(tuple(conditions), *_matrices(conditions, table), every, every)

    @staticmethod
    def pairs(conditions: Sequence[Condition], table: TrialTable) -> _Candidates:
        names = np.array([each.name for each in conditions])
        first, last = np.triu_indices(len(conditions), 1)
        differ = names[first] != names[last]
        return _Candidates(tuple(conditions), *_matrices(conditions, table), first[differ], last[differ])

    def only(self, rows: Mask) -> _Candidates:
        """Return the candidates among the trials of a mask (n,)."""
        return replace(self, holds=self.holds[:, rows], has=self.has[:, rows])

    def without(self, name: str) -> _Candidates:
        """Return the candidates without conditions on a hyperparameter."""
        is_other = np.array([each.name != name for each in self.conditions])
        keep = is_other[self.first] & is_other[self.last]
        return replace(self, first=self.first[keep], last=self.last[keep])

    def best(self, hits: Mask, alpha: float) -> tuple[Region | None, float]:
        """Return the candidate that separates hits best, if significant, and the p-value needed."""
        part, total = self._count(self.holds), self._count(self.has)
        part_hits, total_hits = self._count(self.holds * hits), self._count(self.has * hits)
        margins = np.stack([part, total_hits, total], axis=1).astype(int).tolist()
        limit = level((least_p(*each) for each in margins), alpha)
        best: Region | None = None
        for k in np.flatnonzero(_worth_reporting(part, part_hits, total, total_hits)).tolist():
            log_p = log_fisher(int(part_hits[k]), *margins[k])
            if log_p <= math.log(limit) and (best is None or log_p < best.log_p):
                both = dict.fromkeys((self.conditions[self.first[k]], self.conditions[self.last[k]]))
                best = Region(tuple(both), int(part_hits[k]), int(part[k]), log_p)
        return best, limit

    def _count(self, matrix: _Counts) -> _Counts:
        """Count, for each candidate, the trials that both of its rows have."""
        if np.array_equal(self.first, self.last):
            single: _Counts = matrix.sum(axis=1)[self.first]
            return single
        both: _Counts = (matrix @ matrix.T)[self.first, self.last]
        return both


def _matrices(conditions: Sequence[Condition], table: TrialTable) -> tuple[_Counts, _Counts]:
    holds, has = ([of(each) for each in conditions] for of in (table.holding, table.having))
    shape = len(conditions), table.size
    return np.array(holds, float).reshape(shape), np.array(has, float).reshape(shape)


def _worth_reporting(part: _Counts, part_hits: _Counts, total: _Counts, total_hits: _Counts) -> Mask:
    elsewhere = (total_hits - part_hits) / np.maximum(total - part, 1)
    share = part_hits / np.maximum(part, 1)
    return (part_hits >= FEWEST) & (share >= SHARE) & (share >= LIFT * elsewhere) & (part < total)
