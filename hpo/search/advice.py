"""What a person should know of how a study searches, before it begins."""

from __future__ import annotations

from collections.abc import Iterator

from hpo.config.study import StudySpec
from hpo.search.samplers.pure import grid_points, numeric_dimensions


def warnings(spec: StudySpec) -> list[str]:
    """What may be a mistake: a grid, where a search is wanted."""
    every = grid_points(spec)
    if spec.sampler.name != "grid" or every is None or len(spec.space) < 2:
        return []
    tried = {name: len({repr(point[name]) for point in every if name in point}) for name in spec.space}
    listed = ", ".join(f"{count} of {name}" for name, count in tried.items())
    return [
        f"sampler: grid repeats the same few values in its {len(every)} points: {listed}. Random draws try a "
        "new value of every number in each trial, and find more where few hyperparameters matter (Bergstra "
        "and Bengio, 2012). A grid compares choices evenly; to search, use sampler: random (docs/search.md)"
    ]


def notes(spec: StudySpec) -> Iterator[str]:
    """What may be unexpected: repeated configurations, values that are not learned."""
    every = grid_points(spec)
    if every is not None and spec.trials > len(every):
        yield (
            f"the space has {len(every)} configurations for {spec.trials} trials: when all are tried, they "
            "come again with new weights"
        )
    moved = numeric_dimensions(spec)
    others = [name for name in spec.space if name not in moved]
    if spec.sampler.name == "cmaes" and others:
        yield f"cmaes learns {', '.join(moved)}; it has no part in {', '.join(others)}: those are random"
