"""How much of an outcome each hyperparameter explains by itself, and whether chance explains as much.

The share of the variance between groups of trials, corrected for the number of groups: 0 on average where a
hyperparameter makes no difference (epsilon squared: T. L. Kelley, PNAS 21, 1935). Groups are the choices, or
fifths of the trials for a number. In a random search, whose hyperparameters are drawn independently, this is
the main effect of a functional ANOVA (F. Hutter, H. Hoos, K. Leyton-Brown, ICML 2014), without the forest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hpo.config.fields import setting
from hpo.config.objective import ACCURACY, Objective
from hpo.config.space import Choice
from hpo.diagnosis.base import StudyResults, TrialResult

FEWEST_TRIALS = 10
"""Minimum for measuring the effect of a hyperparameter."""
FEWEST_IN_GROUP = 3
GROUPS = 5
"""Largest number of groups of equal size for the trials of a number."""
PERMUTATIONS = 1999
MOST_TRIALS = 400
"""More would cost seconds without a benefit: of a larger study, every k-th trial is used."""

_Numbers = npt.NDArray[np.float64]
_Places = npt.NDArray[np.int_]


@dataclass(frozen=True)
class Group:
    """Trials with one choice, or with numbers from a range, and their mean outcome."""

    label: str
    trials: int
    mean: float


@dataclass(frozen=True)
class Effect:
    """The share of an outcome's variance that a hyperparameter explains, over the trials where it applies.

    ``p_value`` is the probability of as large a share if the outcomes did not depend on it, by permutation.
    """

    name: str
    trials: int
    share: float
    p_value: float
    groups: tuple[Group, ...]
    objective: Objective = field(default=ACCURACY, repr=False)
    """What the outcomes are values of."""

    @property
    def best(self) -> Group:
        """The group with the best mean."""
        return max(self.groups, key=self._score)

    @property
    def worst(self) -> Group:
        """The group with the worst mean."""
        return min(self.groups, key=self._score)

    def _score(self, group: Group) -> float:
        return self.objective.score(group.mean)


def effects(
    results: StudyResults,
    trials: Sequence[TrialResult],
    outcomes: Sequence[float],
    objective: Objective = ACCURACY,
) -> list[Effect]:
    """Return the effect of each searched hyperparameter on the outcomes of these trials, largest first.

    The outcomes are values of the objective, or of another number of which higher is better.

    Deterministic. Hyperparameters with too few trials or a single setting are left out.
    """
    step = -(-len(trials) // MOST_TRIALS) or 1
    trials, values = trials[::step], np.array(outcomes[::step], float)
    found = [
        replace(effect, objective=objective)
        for name in results.spec.space
        if (effect := _effect(results, name, trials, values)) is not None
    ]
    return sorted(found, key=lambda effect: (-effect.share, effect.p_value, effect.name))


def holm(p_values: Sequence[float], alpha: float) -> list[bool]:
    """Return which of many tests are significant, with a family-wise error rate of ``alpha``.

    S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian J. of Statistics 6, 1979.
    """
    order = np.argsort(p_values, kind="stable")
    counts = [False] * len(p_values)
    for done, place in enumerate(order.tolist()):
        if p_values[place] > alpha / (len(p_values) - done):
            break
        counts[place] = True
    return counts


def _effect(
    results: StudyResults, name: str, trials: Sequence[TrialResult], outcomes: _Numbers
) -> Effect | None:
    rows = np.array([name in trial.values for trial in trials], bool)
    values, outcomes = [trial.values[name] for trial in trials if name in trial.values], outcomes[rows]
    if len(values) < FEWEST_TRIALS or np.ptp(outcomes) == 0:
        return None
    is_choice = isinstance(results.spec.space[name], Choice)
    labels, places = _each(values) if is_choice or len(set(values)) <= GROUPS else _fifths(values)
    kept = np.bincount(places, minlength=len(labels)) >= FEWEST_IN_GROUP
    inside = kept[places]
    places, outcomes = (np.cumsum(kept) - 1)[places[inside]], outcomes[inside]
    labels = [label for label, is_kept in zip(labels, kept, strict=True) if is_kept]
    if len(labels) < 2 or np.ptp(outcomes) == 0:
        return None
    share, p_value = _share_and_chance(outcomes, places, len(labels))
    means = np.bincount(places, outcomes) / np.bincount(places)
    sizes = np.bincount(places).tolist()
    groups = tuple(Group(*each) for each in zip(labels, sizes, means.tolist(), strict=True))
    return Effect(name, len(outcomes), share, p_value, groups)


def _each(values: Sequence[Any]) -> tuple[list[str], _Places]:
    """Return a group for each setting."""
    distinct = sorted(dict.fromkeys(values), key=lambda value: (str(type(value)), value))
    return [setting(value) for value in distinct], np.array([distinct.index(value) for value in values])


def _fifths(values: Sequence[float]) -> tuple[list[str], _Places]:
    """Return groups of about equal size; equal numbers share a group."""
    numbers = np.array(values, float)
    parts = max(2, min(GROUPS, len(numbers) // (2 * FEWEST_IN_GROUP)))
    edges = np.unique(np.quantile(numbers, np.arange(1, parts) / parts))
    places = np.searchsorted(edges, numbers, side="right")
    _, places = np.unique(places, return_inverse=True)
    labels = []
    for part in range(int(places.max()) + 1):
        inside = numbers[places == part]
        low, high = setting(_as_given(inside.min(), values)), setting(_as_given(inside.max(), values))
        labels.append(low if low == high else f"{low} to {high}")
    return labels, places


def _as_given(number: float, values: Sequence[float]) -> float:
    """Return integers as ``int``."""
    return int(number) if all(isinstance(value, int) for value in values) else float(number)


def _share_and_chance(outcomes: _Numbers, places: _Places, groups: int) -> tuple[float, float]:
    """Return epsilon squared, at least 0, and its permutation p-value (with the + 1 that keeps it valid)."""
    member = np.eye(groups)[places]
    sizes = member.sum(0)
    centered = outcomes - outcomes.mean()
    total = float((centered**2).sum())
    random = np.random.default_rng(0)
    shuffled = random.permuted(np.tile(centered, (PERMUTATIONS, 1)), axis=1)
    between = float((((centered @ member) ** 2) / sizes).sum())
    by_chance = (((shuffled @ member) ** 2) / sizes).sum(1)
    p_value = (1 + int((by_chance >= between * (1 - 1e-12)).sum())) / (PERMUTATIONS + 1)
    inside = (total - between) / (len(outcomes) - groups)
    return max(0.0, 1 - inside * (len(outcomes) - 1) / total), p_value
