"""A stage of a study: one leg of its search, or the confirmation of what the search found."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from hpo.spec.pruner import Pruner

STAGE_PATTERN = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
"""What may name a stage: it stands in commands, file names and SQL."""
MAIN, TEST = "main", "test"
RESERVED = {
    MAIN: "it is the one stage of a study without stages",
    TEST: "it is the one that follows a confirmation by itself",
}


class Confirmation(BaseModel):
    """How the best configurations are trained again, so that a lucky one does not win."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    top: int = Field(default=3, description="how many of the best configurations", ge=1, le=100)
    seeds: int = Field(
        default=3,
        description="trainings of each, with other weights, data order and augmentation",
        ge=1,
        le=100,
    )
    folds: int = Field(
        default=0,
        description="parts into which training and validation images are dealt, each class evenly; each is "
        "validated on once a seed. 0: the study's own validation images, every time",
        ge=0,
        le=50,
    )

    @property
    def runs_each(self) -> int:
        """Trainings of one configuration."""
        return self.seeds * max(1, self.folds)


class StageSpec(BaseModel):
    """One entry of ``stages:``."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(description="the stage's name, e.g. coarse", pattern=STAGE_PATTERN.pattern)
    trials: int | None = Field(
        default=None,
        description="how many configurations are tried; needed but for confirm",
        ge=1,
        le=1_000_000,
    )
    epochs: int | None = Field(
        default=None, description="passes over the training images; empty for what the study says", ge=1
    )
    data: float = Field(
        default=1.0,
        description="share of the training images; a smaller share is part of a larger one",
        gt=0,
        le=1,
    )
    space: Literal["refine", "around", "same"] = Field(
        default="refine",
        description="where draws come from. refine: what the results of the stage before leave of its space; "
        "around: near its best configurations, within that; same: all of the study's, as in the first stage",
    )
    keep: float = Field(
        default=0.25,
        description="share of the trials before, the best of them, whose ranges refine keeps, and which "
        "around draws near",
        gt=0,
        le=0.5,
    )
    carry: int = Field(
        default=0,
        description="how many of its trials are the best configurations of all stages before, trained again "
        "with its epochs and images",
        ge=0,
        le=1_000_000,
    )
    pruner: Pruner | None = Field(
        default=None,
        description="what ends its trials early, in place of the study's pruner; trials of different stages "
        "are not compared",
    )
    confirm: Confirmation | None = Field(
        default=None, description="train the best configurations of all stages again instead of searching"
    )

    @property
    def kind(self) -> Literal["search", "confirm"]:
        """What is done in it."""
        return "confirm" if self.confirm else "search"

    @property
    def planned(self) -> int:
        """Trials, if there are enough to confirm."""
        return self.confirm.top * self.confirm.runs_each if self.confirm else self.trials or 0


def planned_trials(stages: Sequence[StageSpec]) -> int:
    """All trials of a study with these stages, the one that is measured on the test images included."""
    return sum(stage.planned for stage in stages) + any(stage.confirm for stage in stages)
