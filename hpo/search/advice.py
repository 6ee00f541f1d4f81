"""Warnings and notes about how a study searches, shown before it starts."""

from __future__ import annotations

from collections.abc import Iterator

from hpo.config.objective import natural_direction
from hpo.config.parsing.assignments import ineffective, surprises
from hpo.config.study import StudySpec
from hpo.search.samplers.pure import grid_points, numeric_dimensions
from hpo.text import counted


def warnings(spec: StudySpec) -> list[str]:
    """Return warnings about probable mistakes: the wrong direction, a grid where a search is wanted."""
    return [*_against_its_name(spec), *_coarse_grid(spec)]


def _against_its_name(spec: StudySpec) -> Iterator[str]:
    natural = natural_direction(spec.goal.metric)
    if natural not in (None, spec.goal.direction):
        yield (
            f"direction: {spec.goal.direction} looks for the worst {spec.goal.metric}, as far as its name "
            f"tells: leave direction out if {natural} is meant"
        )


def _coarse_grid(spec: StudySpec) -> list[str]:
    points = grid_points(spec)
    if spec.sampler.name != "grid" or points is None or len(spec.space) < 2:
        return []
    tried = {name: len({repr(point[name]) for point in points if name in point}) for name in spec.space}
    listed = ", ".join(f"{count} of {name}" for name, count in tried.items())
    return [
        f"sampler: grid repeats the same few values in its {counted(len(points), 'point')}: "
        f"{listed}. Random search "
        "tries a new value of every number in each trial and finds more where few hyperparameters matter "
        "(Bergstra and Bengio, 2012). A grid compares choices evenly; to search, use sampler: random "
        "(docs/search.md)"
    ]


def notes(spec: StudySpec) -> Iterator[str]:
    """Yield notes on what may surprise: repeated configurations, values that have no effect."""
    points = grid_points(spec) if spec.interface == "hpo" else None
    if points is not None and spec.trials > len(points):
        yield (
            f"the space has {counted(len(points), 'configuration')} for "
            f"{counted(spec.trials, 'trial')}: once all are tried, they "
            "repeat with new weights"
        )
    learned = numeric_dimensions(spec)
    others = [name for name in spec.space if name not in learned]
    if spec.sampler.name == "cmaes" and others:
        yield f"cmaes learns {', '.join(learned)}; drawn at random: {', '.join(others)}"
    for reason in ineffective(spec, spec.fixed):
        yield f"fixed: {reason}"
    for given in spec.first:
        for reason in (*ineffective(spec, given), *surprises(spec, given)):
            yield f"first: {reason}"
