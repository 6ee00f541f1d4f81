"""Pairs of settings that are bad only together: "above lr 0.1 nothing trains without batch norm".

For each pair of conditions the trials that meet both are compared with those that meet the first alone, and
with those that meet the second alone, by Fisher's exact test; the larger p-value counts. A pair is reported
if that is significant over all pairs tested, and if both together do more harm than each does alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from hpo.diagnosis.base import StudyResults
from hpo.diagnosis.conditions import Condition, Mask, TrialTable, choices, thresholds
from hpo.diagnosis.effects import holm
from hpo.diagnosis.fisher import fisher, level
from hpo.diagnosis.regions import FEWEST

THRESHOLDS = 5
"""Per number: the quartiles and the ends, which no test can use. More would need more evidence for each."""
MORE_HARM = 2.0
"""How many times as much harm the second condition must add as the first does alone."""
SHARE = 0.5
"""Minimum share of bad trials among those with both."""
MOST = 3
"""Largest number of reported pairs, the most significant first."""


@dataclass(frozen=True)
class Cell:
    """A group of trials, and how many of them are bad."""

    bad: int
    trials: int

    @property
    def rate(self) -> float:
        """The share of bad trials; 0 without trials."""
        return self.bad / self.trials if self.trials else 0.0


@dataclass(frozen=True)
class Interaction:
    """Two conditions that are bad together: with both, with the first or the second alone, with neither."""

    conditions: tuple[Condition, Condition]
    both: Cell
    first: Cell
    second: Cell
    neither: Cell
    p_value: float

    @property
    def is_joint(self) -> bool:
        """Whether the combination causes the harm."""
        alone = max(self.first.rate, self.second.rate)
        return self.both.rate >= SHARE and self.both.rate - alone >= MORE_HARM * (alone - self.neither.rate)


def interactions(results: StudyResults, table: TrialTable, bad: Mask, alpha: float) -> list[Interaction]:
    """Return the pairs under which trials of ``table`` are bad (n,), at most one per pair of hyperparameters.

    The most significant first, by Holm's method over all pairs that have enough trials to reach significance,
    whatever their outcomes (Tarone 1990), so this selection costs no power.
    """
    conditions = [*choices(results.spec.space), *thresholds(results.spec.space, table, THRESHOLDS)]
    pairs = [pair for pair in combinations(conditions, 2) if pair[0].name != pair[1].name]
    least = [_least_p(pair, table) for pair in pairs]
    limit = level(least, alpha)
    tried = [
        _interaction(pair, table, bad)
        for pair, smallest in zip(pairs, least, strict=True)
        if smallest <= limit
    ]
    counts = holm([each.p_value for each in tried], alpha)
    found = [
        each
        for each, counts_too in zip(tried, counts, strict=True)
        if counts_too and each.both.bad >= FEWEST and each.is_joint
    ]
    best: dict[frozenset[str], Interaction] = {}
    for each in sorted(found, key=lambda each: each.p_value):
        best.setdefault(frozenset(condition.name for condition in each.conditions), each)
    exact = thresholds(results.spec.space, table)
    return [_refined(each, exact, table, bad) for each in list(best.values())[:MOST]]


def _refined(found: Interaction, exact: Sequence[Condition], table: TrialTable, bad: Mask) -> Interaction:
    """Return the same pair with the thresholds that fit best, and the p-value with which it was found."""
    best = found
    for place, condition in enumerate(found.conditions):
        for each in exact:
            if (each.name, each.kind) != (condition.name, condition.kind):
                continue
            other = best.conditions[1 - place]
            tried = _interaction((each, other) if place == 0 else (other, each), table, bad)
            if tried.both.bad >= FEWEST and tried.p_value < best.p_value:
                best = tried
    return replace(best, p_value=found.p_value)


def _least_p(pair: Sequence[Condition], table: TrialTable) -> float:
    """Return the p-value if exactly the trials with both were bad: from the numbers of trials alone."""
    first, second = (table.holding(each) & _having_both(pair, table) for each in pair)
    both = int((first & second).sum())
    if both < FEWEST:
        return 1.0
    return max(1 / math.comb(int(each.sum()), both) for each in (first, second))


def _having_both(pair: Sequence[Condition], table: TrialTable) -> Mask:
    return np.array(table.having(pair[0]) & table.having(pair[1]), bool)


def _interaction(pair: tuple[Condition, Condition], table: TrialTable, bad: Mask) -> Interaction:
    having = _having_both(pair, table)
    first, second = (table.holding(each) for each in pair)
    both = _cell(having & first & second, bad)
    alone = _cell(having & first & ~second, bad), _cell(having & ~first & second, bad)
    p_value = max(
        fisher(both.bad, both.trials, both.bad + other.bad, both.trials + other.trials) for other in alone
    )
    return Interaction(pair, both, *alone, _cell(having & ~first & ~second, bad), p_value)


def _cell(rows: Mask, bad: Mask) -> Cell:
    return Cell(int((rows & bad).sum()), int(rows.sum()))
