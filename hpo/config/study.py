"""StudySpec: a validated study file, and the stages in it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_serializer, field_validator

from hpo.config.configuration import Configuration
from hpo.config.methods import Pruner, Sampler
from hpo.config.space import Distribution
from hpo.config.thresholds import Thresholds

STAGE_PATTERN = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
"""What may name a stage: it stands in commands, file names and SQL."""
MAIN, TEST = "main", "test"
RESERVED = {
    MAIN: "it is the one stage of a study without stages",
    TEST: "it is the one that follows a confirmation by itself",
}


class ConfirmationSettings(BaseModel):
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
    confirm: ConfirmationSettings | None = Field(
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


NAME_PATTERN = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$")
"""What may name a study: it stands in commands, file names and URLs."""


class StudySpec(BaseModel):
    """A study: what is fixed, what is searched, how many trials, and how they are watched."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    study: str = Field(
        description="the study's name, unique in the database; running it again resumes it",
        pattern=NAME_PATTERN.pattern,
    )
    seed: int = Field(default=0, description="every draw of the study follows from it", ge=0, lt=2**63)
    objective: Literal["val_accuracy"] = Field(
        default="val_accuracy", description="what the study maximizes; the test split is never looked at"
    )
    trials: int = Field(
        description="how many configurations are tried; left out where stages say it", ge=1, le=1_000_000
    )
    sampler: Sampler = Field(
        default=Sampler.model_validate("random"),
        description="which configurations are tried: a name, or a mapping with options of its own "
        "(docs/search.md)",
    )
    pruner: Pruner = Field(
        default=Pruner.model_validate("none"),
        description="what ends trials early because others are ahead: a name, or a mapping with options of "
        "its own (docs/search.md)",
    )
    max_consecutive_failures: int = Field(
        default=10,
        description="trials that may fail in a row (an error, no memory left, workers that die) before the "
        "study is stopped with a message",
        ge=1,
    )
    max_deaths: int = Field(
        default=3,
        description="workers that may die or hang in the same epoch of a trial before it is given up; more "
        "where machines are taken away at any moment",
        ge=1,
    )
    keep_best: int = Field(
        default=5,
        description="how many trials, the best ones, have the weights of their best epoch kept; 0 for none",
        ge=0,
    )
    needs: tuple[str, ...] = Field(
        default=(), description="tags that a worker must have to serve the study; one on a GPU has gpu"
    )
    first: tuple[dict[str, Any], ...] = Field(
        default=(),
        description="configurations that are tried before any is drawn: defaults, or a list of them",
    )
    fixed: dict[str, Any] = Field(default_factory=dict, description="hyperparameters with one value")
    space: dict[str, Distribution] = Field(default_factory=dict, description="hyperparameters searched")
    stages: tuple[StageSpec, ...] = Field(
        default=(),
        description="legs of the search, each on what the one before leaves of the space",
    )
    checks: Thresholds = Field(
        default=Thresholds(),
        description="how closely trials are watched: a preset, or a mapping with thresholds of its own",
    )

    @field_validator("checks", mode="before")
    @classmethod
    def _preset(cls, value: Any) -> Any:
        return {"preset": value} if isinstance(value, str) else value

    @field_serializer("checks")
    def _as_written(self, checks: Thresholds) -> Any:
        """Only what was set, so that a later default does not make it another study."""
        written = checks.model_dump(exclude_unset=True)
        return checks.preset if set(written) <= {"preset"} else written

    @property
    def trial_costs(self) -> tuple[tuple[int, float], ...]:
        """(trials, cost of each) stage after stage; the cost is in passes over all training images."""
        epochs = self.fixed.get("epochs", Configuration.model_fields["epochs"].default)
        costs = tuple((stage.planned, (stage.epochs or epochs) * stage.data) for stage in self.stages)
        if any(stage.confirm for stage in self.stages):
            costs += ((1, costs[-1][1]),)  # on the test images
        return costs or ((self.trials, float(epochs)),)

    def giving(self, values: Mapping[str, Any]) -> StudySpec:
        """The same study with some hyperparameters fixed at these values; the draws of others stay."""
        space = {name: each for name, each in self.space.items() if name not in values}
        return self.model_copy(update={"fixed": {**self.fixed, **values}, "space": space})

    def configuration(self, drawn: dict[str, Any]) -> Configuration:
        """The configuration that the drawn values and the fixed ones make.

        Raises ``pydantic.ValidationError`` if a value does not fit its field.
        """
        return Configuration(**{**self.fixed, **drawn})
