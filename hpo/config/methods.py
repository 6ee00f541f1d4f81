"""Samplers and pruners by name, with their options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator

from hpo.config.fields import FieldType, field_type


class ChoiceOptions(BaseModel):
    """The options of a sampler or pruner; each field is a single value."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class NamedChoice(BaseModel):
    """One of several samplers or pruners. A subclass has a field for each, exactly one of which is set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {value: {}}
        return {name: options or {} for name, options in value.items()} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _exactly_one(self) -> NamedChoice:
        if len(self.model_fields_set) != 1:
            raise ValueError(f"name one of {', '.join(type(self).model_fields)}")
        return self

    @property
    def name(self) -> str:
        """The name of the choice."""
        (name,) = self.model_fields_set
        return name

    @property
    def options(self) -> Any:
        """The options of the choice."""
        return getattr(self, self.name)

    @model_serializer
    def _as_written(self) -> Any:
        """Only what was set, so that a changed default does not change the stored study."""
        written = self.options.model_dump(exclude_unset=True)
        return {self.name: written} if written else self.name


def options_of(method: type[NamedChoice]) -> Mapping[str, Mapping[str, FieldType]]:
    """Return the options of each choice by name."""
    return {name: _fields(field.annotation) for name, field in method.model_fields.items()}


def summaries(method: type[NamedChoice]) -> Mapping[str, str]:
    """Return one line on each choice."""
    return {name: field.description or "" for name, field in method.model_fields.items()}


def _fields(annotation: Any) -> dict[str, FieldType]:
    model = next(each for each in get_args(annotation) if each is not type(None))
    fields = {name: field_type(model, name) for name in model.model_fields}
    assert all(fields.values()), "every option is a single value"
    return {name: field for name, field in fields.items() if field is not None}


class NoPruning(ChoiceOptions):
    """Every trial runs to its end."""


class Asha(ChoiceOptions):
    """Asynchronous successive halving (Li et al., MLSys 2020): at each rung only the best share continues."""

    reduction: int = Field(
        default=3,
        description="one in this many trials continues at a rung; the next has this many times the epochs",
        ge=2,
        le=100,
    )
    min_epochs: int = Field(default=1, description="epochs of the first rung", ge=1)
    promote: bool = Field(
        default=False,
        description="pause a trial below the best share instead of stopping it, and resume it from its "
        "checkpoint once it is among the best share",
    )


class Hyperband(Asha):
    """Asha in brackets that start at ever later rungs (Li et al., JMLR 18, 2018), assigned by slot."""


class Median(ChoiceOptions):
    """The median rule (Golovin et al., KDD 2017): a trial below the median at an epoch is stopped."""

    warmup_epochs: int = Field(default=1, description="epochs in which no trial is stopped", ge=0)
    min_trials: int = Field(
        default=5, description="trials that must have reached an epoch before one is stopped there", ge=2
    )


Rules: TypeAlias = Asha | Hyperband | Median


def _pruner(description: str) -> Any:
    return Field(default=None, description=description)


class Pruner(NamedChoice):
    """The rule that ends trials early."""

    none: NoPruning | None = _pruner("every trial runs to its end")
    asha: Asha | None = _pruner("at each rung, the best share of the trials that have reached it continues")
    hyperband: Hyperband | None = _pruner("asha in brackets that start at ever later rungs")
    median: Median | None = _pruner("a trial below the median at an epoch is stopped")

    @property
    def rules(self) -> Rules | None:
        """The pruner's options; ``None`` if nothing is pruned."""
        options: Rules | NoPruning = self.options
        return None if isinstance(options, NoPruning) else options


class NoOptions(ChoiceOptions):
    """A sampler without options."""


class ModelOptions(ChoiceOptions):
    """A sampler that learns from earlier trials."""

    startup: int = Field(
        default=10,
        description="trials that must have ended before it learns; until then it draws at random",
        ge=1,
    )


class TpeOptions(ModelOptions):
    """Tree-structured Parzen estimator."""

    candidates: int = Field(
        default=24, description="points per draw, of which the most promising is used", ge=1
    )


class CmaesOptions(ModelOptions):
    """Covariance matrix adaptation."""

    population: int | None = Field(
        default=None,
        description="trials per generation; empty for 4 + 3 ln(number of searched numbers)",
        ge=4,
    )


def _sampler(description: str) -> Any:
    return Field(default=None, description=description)


class Sampler(NamedChoice):
    """How the configurations of trials are drawn."""

    random: NoOptions | None = _sampler("each value independently, on its own scale")
    sobol: NoOptions | None = _sampler("points that cover the space more evenly than random ones")
    grid: NoOptions | None = _sampler("the product of all choices, one after another; for comparisons")
    tpe: TpeOptions | None = _sampler("where good trials are dense and bad ones are not (Parzen estimator)")
    gp: ModelOptions | None = _sampler("where a Gaussian process expects most improvement")
    cmaes: CmaesOptions | None = _sampler(
        "a normal distribution of numbers that moves to where trials are good"
    )
