"""StudySpec: a validated study file, and the stages in it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_serializer, field_validator, model_validator

from hpo.config.configuration import Configuration
from hpo.config.division import DivisionRules, Validation
from hpo.config.hyperparameters import IMAGES, Hyperparameters, OwnHyperparameters, TrialConfiguration
from hpo.config.methods import Pruner, Sampler
from hpo.config.objective import METRIC_PATTERN, SHORT_NAMES, Direction, Objective, natural_direction
from hpo.config.own_training import TRAINER_PATTERN, TrainerKind, TrialLimits
from hpo.config.space import Distribution
from hpo.config.thresholds import Thresholds
from hpo.config.tradeoff import TradeoffRules
from hpo.errors import ConfigurationError

STAGE_PATTERN = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
"""Valid names of stages: they appear in commands, file names and SQL."""
MAIN, TEST = "main", "test"
RESERVED = {
    MAIN: "it is the only stage of a study without stages",
    TEST: "it follows a confirmation automatically",
}


class ConfirmationSettings(BaseModel):
    """How the best configurations are trained again, so that a lucky one does not win."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    top: int = Field(default=3, description="number of best configurations", ge=1, le=100)
    seeds: int = Field(
        default=3,
        description="trainings of each, with different weights, data order and augmentation",
        ge=1,
        le=100,
    )
    folds: int = Field(
        default=0,
        description="number of stratified folds of the training and validation images; each is validated on "
        "once per seed. 0: always the study's own validation images",
        ge=0,
        le=50,
    )

    @property
    def runs_each(self) -> int:
        """Number of trainings per configuration."""
        return self.seeds * max(1, self.folds)


class StageSpec(BaseModel):
    """One entry of ``stages:``."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(description="the stage's name, e.g. coarse", pattern=STAGE_PATTERN.pattern)
    trials: int | None = Field(
        default=None,
        description="number of configurations to try; required except with confirm",
        ge=1,
        le=1_000_000,
    )
    epochs: int | None = Field(
        default=None, description="passes over the training images; empty for the study's", ge=1
    )
    data: float = Field(
        default=1.0,
        description="share of the training images; a smaller share is a subset of a larger one",
        gt=0,
        le=1,
    )
    space: Literal["refine", "around", "same"] = Field(
        default="refine",
        description="where draws come from. refine: what the results of the stage before leave of "
        "its space; around: near its best configurations, within that; same: the study's whole space, as in "
        "the first stage",
    )
    keep: float = Field(
        default=0.25,
        description="share of the previous stage's trials, the best ones, whose ranges refine keeps and "
        "which around draws near",
        gt=0,
        le=0.5,
    )
    carry: int = Field(
        default=0,
        description="number of its trials that train the best configurations of all earlier stages again, "
        "with its epochs and data",
        ge=0,
        le=1_000_000,
    )
    pruner: Pruner | None = Field(
        default=None,
        description="what ends its trials early, instead of the study's pruner; trials of different stages "
        "are not compared",
    )
    confirm: ConfirmationSettings | None = Field(
        default=None, description="train the best configurations of all stages again instead of searching"
    )

    @property
    def kind(self) -> Literal["search", "confirm"]:
        """Whether the stage searches or confirms."""
        return "confirm" if self.confirm else "search"

    @property
    def planned(self) -> int:
        """Number of trials, if enough configurations learned to confirm them."""
        return self.confirm.top * self.confirm.runs_each if self.confirm else self.trials or 0


def planned_trials(stages: Sequence[StageSpec], *, on_images: bool = True) -> int:
    """Return the number of trials of a study with these stages, including its test evaluation.

    Only the built-in training (``on_images``) has test images.
    """
    test = on_images and any(stage.confirm for stage in stages)
    return sum(stage.planned for stage in stages) + test


NAME_PATTERN = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$")
"""Valid names of studies: they appear in commands, file names and URLs."""


class StudySpec(BaseModel):
    """A study: what is fixed, what is searched, how many trials, and how they are watched."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    study: str = Field(
        description="the study's name, unique in the database; running it again resumes it",
        pattern=NAME_PATTERN.pattern,
    )
    seed: int = Field(default=0, description="the seed of all draws of the study", ge=0, lt=2**63)
    trainer: str | None = Field(
        default=None,
        description="your own training as package.module:function, called with a trial; empty: the built-in "
        "training of image classifiers",
        pattern=f"^{TRAINER_PATTERN.pattern}$",
    )
    command: tuple[str, ...] | None = Field(
        default=None,
        description="your own training as a program and its arguments; {lr} stands for the value of lr",
        min_length=1,
    )
    interface: Literal["hpo", "optuna"] = Field(
        default="hpo",
        description="what the trainer is given: hpo for an hpo.Trial, optuna for an optuna.Trial, whose "
        "suggest_float, suggest_int and suggest_categorical make the space",
    )
    objective: str = Field(
        default="val_accuracy",
        description="the metric that the study optimizes: accuracy, balanced_accuracy, macro_f1, auc, "
        "log_loss, your own as package.module:function, or one that your own training reports; the test "
        "split is never used",
        pattern=METRIC_PATTERN.pattern,
    )
    direction: Direction | None = Field(
        default=None,
        description="whether higher values of the objective are better (maximize) or lower ones (minimize); "
        "empty for what its name says, such as minimize for val_loss",
    )
    tradeoff: str | None = Field(
        default=None,
        description="a second objective, whose trade-offs with the first are shown: parameters, "
        "milliseconds (to classify an image), images_per_second (of training), or a metric that your own "
        "training reports",
        pattern=METRIC_PATTERN.pattern,
    )
    tradeoff_direction: Direction | None = Field(
        default=None,
        description="whether higher values of the tradeoff are better (maximize) or lower ones (minimize); "
        "empty for what its name says",
    )
    limit: dict[str, float] = Field(
        default_factory=dict,
        description="the most that a trial may have of a quantity, the least of images_per_second, such as "
        "{milliseconds: 5}: a trial beyond it is never the best one",
    )
    validation: Validation = Field(
        default="auto",
        description="which images validate: given for the validation split that the data set comes with, "
        "drawn for a share of the training images (val_fraction); auto is given where there is one",
    )
    groups: str | None = Field(
        default=None,
        description="keeps images together in one split: folder for the folder between class and file, a "
        "column of the table, an array of the .npz file, or a pattern of the path with one part in "
        "parentheses",
    )
    order: str | None = Field(
        default=None,
        description="makes validation the latest images, by name for file names, a column, an array, or a "
        "pattern of the path with one part in parentheses",
    )
    trials: int = Field(
        description="number of configurations to try; left out if there are stages", ge=1, le=1_000_000
    )
    sampler: Sampler = Field(
        default=Sampler.model_validate("random"),
        description="which configurations are tried: a name, or a mapping with options (docs/search.md)",
    )
    pruner: Pruner = Field(
        default=Pruner.model_validate("none"),
        description="what ends trials early because others are ahead: a name, or a mapping with options "
        "(docs/search.md)",
    )
    max_consecutive_failures: int = Field(
        default=10,
        description="trials that may fail in a row (errors, out of memory, dead workers) before the study is "
        "stopped with a message",
        ge=1,
    )
    max_deaths: int = Field(
        default=3,
        description="workers that may die or hang in the same epoch of a trial before the trial fails; raise "
        "it for preemptible machines",
        ge=1,
    )
    keep_best: int = Field(
        default=5,
        description="number of best trials whose best-epoch weights are kept; with a confirmation also those "
        "of each configuration that it trains again; 0 for none",
        ge=0,
    )
    limits: TrialLimits = Field(
        default=TrialLimits(),
        description="what a trial of your own training may use before it is ended: minutes, memory",
    )
    needs: tuple[str, ...] = Field(
        default=(), description="tags that a worker must have to serve the study; workers on a GPU have gpu"
    )
    first: tuple[dict[str, Any], ...] = Field(
        default=(),
        description="configurations to try before any is drawn: defaults, or a list",
    )
    fixed: dict[str, Any] = Field(default_factory=dict, description="hyperparameters with one value")
    space: dict[str, Distribution] = Field(default_factory=dict, description="hyperparameters searched")
    stages: tuple[StageSpec, ...] = Field(
        default=(),
        description="stages of the search, each on the space that the one before leaves",
    )
    checks: Thresholds = Field(
        default=Thresholds(),
        description="how closely trials are checked: a preset, or a mapping with thresholds",
    )

    @field_validator("checks", mode="before")
    @classmethod
    def _preset(cls, value: Any) -> Any:
        return {"preset": value} if isinstance(value, str) else value

    @model_validator(mode="before")
    @classmethod
    def _full_name(cls, values: Any) -> Any:
        """Give the objective of the built-in training the name that it has in the results."""
        if not isinstance(values, dict) or any(values.get(key) is not None for key in ("trainer", "command")):
            return values
        short = values.get("objective")
        return {**values, "objective": SHORT_NAMES[short]} if short in SHORT_NAMES else values

    @field_serializer("checks")
    def _as_written(self, checks: Thresholds) -> Any:
        """Only what was set, so that a changed default does not change the stored study."""
        written = checks.model_dump(exclude_unset=True)
        return checks.preset if set(written) <= {"preset"} else written

    @property
    def kind(self) -> TrainerKind:
        """What trains its trials."""
        return "function" if self.trainer is not None else "command" if self.command is not None else "images"

    @property
    def is_own(self) -> bool:
        """Whether the user's own training trains its trials, so that it has no data set."""
        return self.kind != "images"

    @property
    def trainer_text(self) -> str:
        """What trains its trials, for people: ``my_package.train:run``, ``python train.py``, or nothing."""
        return self.trainer or " ".join(self.command or ())

    @property
    def hyperparameters(self) -> Hyperparameters:
        """What its hyperparameters are, and what follows from their names."""
        return OwnHyperparameters(self.space) if self.is_own else IMAGES

    @property
    def has_test(self) -> bool:
        """Whether the winner of a confirmation is evaluated on test images."""
        return not self.is_own and any(stage.confirm for stage in self.stages)

    @property
    def kept_trials(self) -> int:
        """The number of best trials whose weights are kept: a confirmation may choose any of its ``top``."""
        tops = [stage.confirm.top for stage in self.stages if stage.confirm]
        return max(self.keep_best, *tops) if self.keep_best and tops else self.keep_best

    @property
    def goal(self) -> Objective:
        """The objective with its direction."""
        return Objective(self.objective, self.direction or natural_direction(self.objective) or "maximize")

    @property
    def tradeoffs(self) -> TradeoffRules:
        """Its second objective and its limits."""
        return TradeoffRules(self.tradeoff, self.tradeoff_direction, self.limit)

    @property
    def division(self) -> DivisionRules:
        """What decides which images validate."""
        return DivisionRules(self.validation, self.groups, self.order)

    @property
    def trial_costs(self) -> tuple[tuple[int, float], ...]:
        """(trials, cost of each) per stage; the cost is in passes over all training data.

        Of the user's own training without ``epochs``, a trial on all data counts as one pass.
        """
        epochs = self.fixed.get("epochs", self.hyperparameters.defaults.get("epochs", 1))
        costs = tuple((stage.planned, (stage.epochs or epochs) * stage.data) for stage in self.stages)
        if self.has_test:
            costs += ((1, costs[-1][1]),)  # on the test images
        return costs or ((self.trials, float(epochs)),)

    @property
    def allowances(self) -> tuple[str, ...]:
        """What a worker must allow to train it: packages of the user's code, or the program of a command."""
        return self.packages if self.command is None else (self.command[0],)

    @property
    def packages(self) -> tuple[str, ...]:
        """The packages that its training, networks, images and objective are from, besides those of hpo."""
        if self.command is not None:
            return ()
        paths = [self.trainer] if self.trainer is not None else [*self._code(), self.objective]
        return tuple(dict.fromkeys(each.partition(":")[0].partition(".")[0] for each in paths if ":" in each))

    def _code(self) -> list[str]:
        choices = getattr(self.space.get("model"), "choice", ())
        return [*map(str, (self.fixed.get("model", ""), self.fixed.get("dataset", ""), *choices))]

    def with_fixed(self, values: Mapping[str, Any]) -> StudySpec:
        """Return the study with some hyperparameters fixed at these values; draws of the others stay.

        It has no ``first``: its configurations are those of single trials.
        """
        space = {name: each for name, each in self.space.items() if name not in values}
        return self.model_copy(update={"fixed": {**self.fixed, **values}, "space": space, "first": ()})

    def searched(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Return the searched values of a stored configuration that have an effect in it."""
        applies = self.hyperparameters.applies
        return {
            name: document[name]
            for name, distribution in self.space.items()
            if distribution.active(document) and applies(name, document)
        }

    def configuration(
        self, drawn: Mapping[str, Any], images: Mapping[str, str] | None = None
    ) -> TrialConfiguration:
        """Return the configuration of the drawn and the fixed values; ``images``: see ``Dataset.fields``.

        Raises ``pydantic.ValidationError`` if a value does not fit its field.
        """
        return self.hyperparameters.configuration({**self.fixed, **drawn}, images or {})

    def image_configuration(
        self, drawn: Mapping[str, Any], images: Mapping[str, str] | None = None
    ) -> Configuration:
        """Return the configuration of a trial of the built-in training.

        Raises ``ConfigurationError`` for a study of the user's own training.
        """
        if self.is_own:
            raise ConfigurationError(own_training_message(self, "trains no image classifier of hpo"))
        return IMAGES.configuration({**self.fixed, **drawn}, images or {})


def own_training_message(spec: StudySpec, limitation: str) -> str:
    """Return the sentence that names a study of the user's own training and what it therefore lacks."""
    return f"study {spec.study} is of your own training ({spec.trainer_text}): it {limitation}"
