"""The trainings that confirm the best configurations of a study, and their statistics. Pure.

The best of many noisy values is too good (the winner's curse). What counts is the mean of trainings that had
no part in the selection, with its interval, and whether winner and runner-up differ significantly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hpo.config.objective import ACCURACY, Objective
from hpo.config.study import ConfirmationSettings

LEVEL = 0.95
"""Coverage of the intervals."""


@dataclass(frozen=True)
class Run:
    """One training of a candidate; ``fold`` is None without folds.

    Runs of the same seed and fold share weights, data order and images, so candidates compare in pairs.
    """

    candidate: int
    seed: int
    fold: int | None


def run_of(settings: ConfirmationSettings, candidates: int, slot: int) -> Run:
    """Return the run of a slot: every candidate once, then every candidate with the next fold or seed."""
    turn, candidate = divmod(slot, candidates)
    seed, fold = divmod(turn, max(1, settings.folds))
    return Run(candidate, seed, fold if settings.folds else None)


@dataclass(frozen=True)
class Confirmed:
    """The result of a candidate's runs; ``low`` to ``high`` is the 95 % interval of its mean.

    ``difference`` is by how much it is better than the next in rank, on average over the runs that both
    completed; ``p_value`` is that of a paired t-test of it. None if there are too few runs.
    """

    candidate: int
    rank: int
    completed: int
    mean: float | None
    low: float | None
    high: float | None
    difference: float | None
    p_value: float | None


Values = Mapping[tuple[int, int | None], float | None]
"""A candidate's value by (seed, fold); None for a run that did not complete."""


def confirm(
    settings: ConfirmationSettings, values: Sequence[Values], objective: Objective = ACCURACY
) -> list[Confirmed]:
    """Rank the candidates by the values of their runs.

    A candidate with failed runs ranks behind those with fewer. Of equals, the one that was better in the
    search ranks first.
    """
    done = [[each for each in runs.values() if each is not None] for runs in values]
    order = sorted(
        range(len(values)),
        key=lambda i: (
            len(values[i]) - len(done[i]),
            -objective.score(_mean(done[i])) if done[i] else 0.0,
            i,
        ),
    )
    found = []
    for rank, i in enumerate(order, start=1):
        following = values[order[rank]] if rank < len(order) else {}
        difference, p_value = _compared(settings, values[i], following, objective)
        interval = _interval(settings, done[i])
        mean = _mean(done[i]) if done[i] else None
        found.append(Confirmed(i, rank, len(done[i]), mean, *interval, difference, p_value))
    return found


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _interval(settings: ConfirmationSettings, values: Sequence[float]) -> tuple[float | None, float | None]:
    if len(values) < 2:
        return None, None
    from scipy import special  # loads in a third of a second; needed only at the end of a study

    reach = float(special.stdtrit(len(values) - 1, (1 + LEVEL) / 2)) * _error(settings, values)
    return _mean(values) - reach, _mean(values) + reach


def _compared(
    settings: ConfirmationSettings, one: Values, other: Values, objective: Objective
) -> tuple[float | None, float | None]:
    pairs = [(a, b) for run in one if (a := one[run]) is not None and (b := other.get(run)) is not None]
    differences = [objective.gain(a, b) for a, b in pairs]
    if not differences:
        return None, None
    difference = _mean(differences)
    if len(differences) < 2:
        return difference, None
    error = _error(settings, differences)
    if error == 0:
        return difference, 1.0 if difference == 0 else 0.0
    from scipy import special

    return difference, float(2 * special.stdtr(len(differences) - 1, -abs(difference) / error))


def _error(settings: ConfirmationSettings, values: Sequence[float]) -> float:
    """The standard error of the mean of runs.

    Folds share most of their training images, so their results are not independent: the variance is larger
    by n_val / n_train (C. Nadeau, Y. Bengio, Inference for the generalization error, Mach. Learn. 52, 2003).
    """
    n = len(values)
    mean = _mean(values)
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    overlap = 1 / (settings.folds - 1) if settings.folds else 0.0
    return math.sqrt(variance * (1 / n + overlap))
