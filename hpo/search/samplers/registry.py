"""The samplers by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hpo.config.study import StudySpec
from hpo.search.history import PastTrial
from hpo.search.samplers.optuna import Draw, cmaes_draw, gp_draw, tpe_draw
from hpo.search.samplers.pure import Values, grid_draw, random_draw, sobol_draw

PURE: dict[str, Callable[[StudySpec, int], Values]] = {
    "random": random_draw,
    "sobol": sobol_draw,
    "grid": grid_draw,
}
"""Samplers that depend on the study and the slot alone."""

LEARNING: dict[str, Callable[[StudySpec, int, int, Sequence[PastTrial]], Draw]] = {
    "tpe": tpe_draw,
    "gp": gp_draw,
    "cmaes": cmaes_draw,
}
"""Samplers that also learn from the recorded trials; the third argument counts attempts from 0."""


def sample_slot(spec: StudySpec, slot: int) -> Values:
    """Return the searched values of slot ``slot`` (0-based), without those that do not apply.

    For a sampler that learns: its draw before there is anything to learn from.
    """
    return PURE.get(spec.sampler.name, random_draw)(spec, slot)
