"""Samplers and pruners by name, with their options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator

from hpo.config.fields import FieldType, field_type


class Options(BaseModel):
    """What can be set for a method; each field is one simple value."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class NamedChoice(BaseModel):
    """One of several methods. A subclass has a field for each, of which one is set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _word(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {value: {}}
        return {name: options or {} for name, options in value.items()} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _one(self) -> NamedChoice:
        if len(self.model_fields_set) != 1:
            raise ValueError(f"name one of {', '.join(type(self).model_fields)}")
        return self

    @property
    def name(self) -> str:
        """Which method."""
        (name,) = self.model_fields_set
        return name

    @property
    def options(self) -> Any:
        """The options of the one that is set."""
        return getattr(self, self.name)

    @model_serializer
    def _as_written(self) -> Any:
        """Only what was set, so that a later default does not make it another study."""
        written = self.options.model_dump(exclude_unset=True)
        return {self.name: written} if written else self.name


def options_of(method: type[NamedChoice]) -> Mapping[str, Mapping[str, FieldType]]:
    """The options of each method by name."""
    return {name: _fields(field.annotation) for name, field in method.model_fields.items()}


def summaries(method: type[NamedChoice]) -> Mapping[str, str]:
    """What each method does, in a sentence."""
    return {name: field.description or "" for name, field in method.model_fields.items()}


def _fields(annotation: Any) -> dict[str, FieldType]:
    model = next(each for each in get_args(annotation) if each is not type(None))
    fields = {name: field_type(model, name) for name in model.model_fields}
    assert all(fields.values()), "every option is one simple value"
    return {name: field for name, field in fields.items() if field is not None}


class NoPruning(Options):
    """Every trial is trained to its end."""


class Asha(Options):
    """Asynchronous successive halving (Li et al., MLSys 2020): at each rung only the best share goes on."""

    reduction: int = Field(
        default=3,
        description="one in so many trials goes on at a rung, and the next rung has so many times the epochs",
        ge=2,
        le=100,
    )
    min_epochs: int = Field(default=1, description="epochs of the first rung", ge=1)
    promote: bool = Field(
        default=False,
        description="pause a trial below the best share instead of stopping it, and go on with it from its "
        "checkpoint once it is among the best share",
    )


class Hyperband(Asha):
    """Asha in brackets that begin at later and later rungs (Li et al., JMLR 18, 2018), dealt out by slot."""


class Median(Options):
    """The median rule (Golovin et al., KDD 2017): who is below the median of an epoch is stopped."""

    warmup_epochs: int = Field(default=1, description="epochs in which nothing is stopped", ge=0)
    min_trials: int = Field(
        default=5, description="trials that must have come to an epoch before it stops one", ge=2
    )


Rules: TypeAlias = Asha | Hyperband | Median


def _pruner(description: str) -> Any:
    return Field(default=None, description=description)


class Pruner(NamedChoice):
    """What ends trials early."""

    none: NoPruning | None = _pruner("every trial is trained to its end")
    asha: Asha | None = _pruner("the best share of those that came to a rung so far goes on")
    hyperband: Hyperband | None = _pruner("asha in brackets that begin at later and later rungs")
    median: Median | None = _pruner("who is below the median of an epoch is stopped")

    @property
    def rules(self) -> Rules | None:
        """The options of the one that is set; None for none."""
        options: Rules | NoPruning = self.options
        return None if isinstance(options, NoPruning) else options


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


class Sampler(NamedChoice):
    """Which configuration a trial gets."""

    random: NoOptions | None = _sampler("each value afresh, on its own scale")
    sobol: NoOptions | None = _sampler("points that cover the space more evenly than random ones")
    grid: NoOptions | None = _sampler("the product of all choices, one after another; to compare with")
    tpe: TpeOptions | None = _sampler("where good trials are dense and bad ones are not (Parzen estimator)")
    gp: ModelOptions | None = _sampler("where a Gaussian process expects most to gain")
    cmaes: CmaesOptions | None = _sampler(
        "a normal distribution of numbers that moves to where trials are good"
    )
