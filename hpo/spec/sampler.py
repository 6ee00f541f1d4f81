"""Samplers by name, and what can be set for each."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from hpo.spec.method import Method, Options


class NoOptions(Options):
    """A sampler of which nothing can be set."""


class ModelOptions(Options):
    """A sampler that learns from the trials before."""

    startup: int = Field(
        default=10, description="trials that must have ended before it learns; until then it is random", ge=1
    )


class TpeOptions(ModelOptions):
    """Tree-structured Parzen estimator."""

    candidates: int = Field(default=24, description="points of which the most promising is taken", ge=1)


class CmaesOptions(ModelOptions):
    """Covariance matrix adaptation."""

    population: int | None = Field(
        default=None, description="trials of a generation; empty for 4 + 3 ln(numbers searched)", ge=4
    )


def _sampler(description: str) -> Any:
    return Field(default=None, description=description)


class Sampler(Method):
    """Which configuration a trial gets."""

    random: NoOptions | None = _sampler("each value afresh, on its own scale")
    sobol: NoOptions | None = _sampler("points that cover the space more evenly than random ones")
    grid: NoOptions | None = _sampler("the product of all choices, one after another; to compare with")
    tpe: TpeOptions | None = _sampler("where good trials are dense and bad ones are not (Parzen estimator)")
    gp: ModelOptions | None = _sampler("where a Gaussian process expects most to gain")
    cmaes: CmaesOptions | None = _sampler(
        "a normal distribution of numbers that moves to where trials are good"
    )
