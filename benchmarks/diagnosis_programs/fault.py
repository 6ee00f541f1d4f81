"""Fault: a mistake put into a sound program, its true cause, and what undoes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from diagnosis_programs.bases import BASES
from diagnosis_programs.program import Program
from hpo.config.configuration import Configuration

SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Fault:
    """A mutation of a base, either of fields of its configuration or of parts of its code."""

    name: str
    kind: str
    """The part of a training that the mistake is in; both halves have of every kind."""
    base: str
    causes: tuple[str, ...]
    """Root causes that count as right: the label, and what would be another name for the same thing."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    parts: Mapping[str, Any] = field(default_factory=dict)
    fixes: tuple[str, ...] = ()
    """Code fixes, any of which undoes ``parts``."""
    cured_by: tuple[str, ...] = ()
    """Fields of the configuration, to set any of which replaces the faulty part by hpo's own."""
    repairable: bool = True

    def healthy(self) -> Program:
        """The program without the fault."""
        return BASES[self.base]

    def faulty(self) -> Program:
        """The program with the fault."""
        sound = self.healthy()
        return replace(sound, configuration=_updated(sound.configuration, self.fields), **self.parts)

    def treated(self, change: Mapping[str, Any]) -> Program:
        """The faulty program after a verdict's ``change``.

        Fields of the configuration are set as they are named. The code is mended only if the change names
        a fix of this very mistake, or a field that takes the place of the faulty part. Raises ValueError
        (pydantic) for a change that no configuration can take.
        """
        program = self.faulty()
        fields = {name: value for name, value in change.items() if name != "code"}
        if change.get("code") in self.fixes or any(name in self.cured_by for name in fields):
            program = replace(self.healthy(), configuration=program.configuration)
        return replace(program, configuration=_updated(program.configuration, fields))


def _updated(configuration: Configuration, fields: Mapping[str, Any]) -> Configuration:
    return Configuration(**{**configuration.model_dump(), **fields})
