"""Are the best trials distinguishable?

An accuracy on n images has the binomial standard error sqrt(p (1 - p) / n). Configurations that were trained
more than once also show the effect of the seed; both variances are added. Of other metrics only the latter is
known.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from hpo.config.objective import Objective
from hpo.diagnosis.base import StudyResults, TrialResult
from hpo.records import StudyFinding
from hpo.text import counted

Z = 1.96
"""Two values are distinguishable if they differ by more than this many standard errors: 95 %."""
FEWEST_REPEATS = 3
"""Minimum degrees of freedom of the variance between seeds."""


@dataclass(frozen=True)
class _Group:
    """Trials of one configuration, and their mean value."""

    trials: Sequence[TrialResult]

    @property
    def mean(self) -> float:
        return sum(trial.value or 0.0 for trial in self.trials) / len(self.trials)


def noise(results: StudyResults) -> list[StudyFinding]:
    """Report the trials within the noise of the best, and the size of the noise."""
    goal = results.goal
    images = results.val_images if goal.counts_images else None
    groups = _groups(results.ranked, goal)
    if len(groups) < 2:
        return []
    seed_variance, repeats = _seed_variance(groups)
    if not images and not repeats:
        return []
    best = groups[0]
    near = [
        each
        for each in groups[1:]
        if goal.gain(best.mean, each.mean) <= _margin(best, each, images, seed_variance)
    ]
    if not near:
        return []
    margin = _margin(best, near[-1], images, seed_variance)
    return [_finding(results, best, near, margin, math.sqrt(seed_variance), repeats)]


def _groups(ranked: Sequence[TrialResult], goal: Objective) -> list[_Group]:
    groups: dict[str, list[TrialResult]] = defaultdict(list)
    for trial in ranked:
        groups[repr(sorted(trial.values.items()))].append(trial)
    return sorted(map(_Group, groups.values()), key=lambda group: -goal.score(group.mean))


def _seed_variance(groups: Sequence[_Group]) -> tuple[float, int]:
    """Return the pooled variance between seeds and its degrees of freedom; 0 with too few repeats."""
    repeats = sum(len(group.trials) - 1 for group in groups)
    if repeats < FEWEST_REPEATS:
        return 0.0, 0
    squares = sum(((trial.value or 0.0) - group.mean) ** 2 for group in groups for trial in group.trials)
    return squares / repeats, repeats


def _margin(one: _Group, other: _Group, images: int | None, seed_variance: float) -> float:
    """Return the largest difference of two means that noise explains."""
    variance = sum(
        (group.mean * (1 - group.mean) / images if images else 0.0) + seed_variance / len(group.trials)
        for group in (one, other)
    )
    return Z * math.sqrt(variance)


def _finding(
    results: StudyResults, best: _Group, near: Sequence[_Group], margin: float, seed_sd: float, repeats: int
) -> StudyFinding:
    groups, text = (best, *near), results.goal.text
    what = "configurations" if repeats else "trials"
    images = results.val_images if results.goal.counts_images else None
    sources = [
        *([f"on {counted(images, 'validation image')}"] if images else []),
        *([f"with {text(seed_sd)} between seeds"] if repeats else []),
    ]
    return StudyFinding(
        check="noise",
        severity="note",
        message=(
            f"the best {len(groups)} {what} ({text(best.mean)} to {text(near[-1].mean)}) cannot be "
            f"distinguished: {' and '.join(sources)}, differences up to {text(margin)} are noise"
        ),
        evidence={
            "trials": [[trial.number for trial in group.trials] for group in groups],
            "highest": max(best.mean, near[-1].mean),
            "lowest": min(best.mean, near[-1].mean),
            "margin": margin,
            "val_images": images,
            "seed_deviation": seed_sd if repeats else None,
        },
        remedy="train them again with other seeds before trusting their order",
    )
