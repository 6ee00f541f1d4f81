"""A key of a study file that names a method: ``tpe``, or ``{tpe: {startup: 20}}`` with options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, model_serializer, model_validator

from hpo.spec.fields import FieldType, field_type


class Options(BaseModel):
    """What can be set for a method; each field is one simple value."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Method(BaseModel):
    """One of several methods. A subclass has a field for each, of which one is set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _word(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {value: {}}
        return {name: options or {} for name, options in value.items()} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _one(self) -> Method:
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


def options_of(method: type[Method]) -> Mapping[str, Mapping[str, FieldType]]:
    """The options of each method by name."""
    return {name: _fields(field.annotation) for name, field in method.model_fields.items()}


def summaries(method: type[Method]) -> Mapping[str, str]:
    """What each method does, in a sentence."""
    return {name: field.description or "" for name, field in method.model_fields.items()}


def _fields(annotation: Any) -> dict[str, FieldType]:
    model = next(each for each in get_args(annotation) if each is not type(None))
    fields = {name: field_type(model, name) for name in model.model_fields}
    assert all(fields.values()), "every option is one simple value"
    return {name: field for name, field in fields.items() if field is not None}
