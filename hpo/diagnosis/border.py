"""Do the best trials lie at the end of a range? Then better values may lie beyond it.

Source: CS231n lecture 6, "the best values are at the edge: search further"; the test is Fisher's exact test.
"""

from __future__ import annotations

import math

from hpo.config.fields import setting
from hpo.config.space import Choice, Distribution, Integer, Log
from hpo.diagnosis.base import ALPHA, StudyResults, TrialResult
from hpo.diagnosis.changes import widen
from hpo.diagnosis.fisher import fisher, least_p, level
from hpo.records import StudyFinding
from hpo.text import counted

OUTER = 0.1
"""The part of a range, on its own scale, that is its border."""


def border(results: StudyResults) -> list[StudyFinding]:
    """Report each end of a range with more of the best tenth of the trials than chance explains."""
    sides = [
        _Side(results, name, distribution, upwards)
        for name, distribution in results.spec.space.items()
        if not isinstance(distribution, Choice)
        for upwards in (False, True)
    ]
    limit = level((least_p(side.top, side.outer, side.trials) for side in sides), ALPHA)
    found = [side for side in sides if side.p <= limit and side.has_best and 2 * side.top_outer >= side.top]
    return [finding for side in found if (finding := side.finding(limit))]


class _Side:
    """One end of a range, with the number of trials there and of the best among them."""

    def __init__(self, results: StudyResults, name: str, distribution: Distribution, upwards: bool) -> None:
        self._results, self._name, self._upwards = results, name, upwards
        self._edge = edge(distribution, upwards)
        having = [trial for trial in results.trials if name in trial.values]
        top = [trial for trial in results.top if name in trial.values]
        self.trials, self.top = len(having), len(top)
        self.outer = sum(map(self._is_outer, having))
        self.top_outer = sum(map(self._is_outer, top))
        self.has_best = bool(top) and self._is_outer(top[0])
        self.p = fisher(self.top_outer, self.top, self.outer, self.trials)

    def _is_outer(self, trial: TrialResult) -> bool:
        value = trial.values[self._name]
        return bool(value >= self._edge if self._upwards else value <= self._edge)

    def finding(self, limit: float) -> StudyFinding | None:
        """Return the finding; None if the range ends at a limit of the hyperparameter."""
        remedy, change = widen(self._results, self._name, self._upwards)
        if not change:
            return None
        end, side = ("upper", "more") if self._upwards else ("lower", "less")
        return StudyFinding(
            check="border",
            severity="warn",
            message=(
                f"{self.top_outer} of the best {counted(self.top, 'trial')} ({self.outer} of all "
                f"{self.trials}) have "
                f"{self._name} {setting(self._edge)} or {side}, the {end} end of its range: better "
                "values may lie beyond it"
            ),
            evidence={
                "name": self._name,
                "end": end,
                "best_at_end": self.top_outer,
                "best": self.top,
                "at_end": self.outer,
                "trials": self.trials,
                "p_value": self.p,
                "p_limit": limit,
            },
            remedy=remedy,
            change=change,
        )


def edge(distribution: Distribution, upwards: bool) -> float:
    """Return where the border of a range begins, on the scale of the range."""
    assert not isinstance(distribution, Choice)
    low, high = distribution.bounds
    share = 1 - OUTER if upwards else OUTER
    if isinstance(distribution, Log):
        return math.exp(math.log(low) + share * math.log(high / low))
    inner = low + share * (high - low)
    if isinstance(distribution, Integer):
        return math.ceil(inner) if upwards else math.floor(inner)
    return inner
