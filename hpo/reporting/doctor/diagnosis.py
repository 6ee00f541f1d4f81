"""What an examination says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Condition: TypeAlias = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Diagnosis:
    """One line of ``hpo doctor``: a warning lets studies run, with a problem they cannot."""

    condition: Condition
    message: str
    remedy: str = ""
    """What to do about it; empty if all is well."""


def ok(message: str) -> Diagnosis:
    """All is well."""
    return Diagnosis("ok", message)


def warning(message: str, remedy: str) -> Diagnosis:
    """Studies run, but not as well as they could."""
    return Diagnosis("warning", message, remedy)


def problem(message: str, remedy: str) -> Diagnosis:
    """Studies cannot run."""
    return Diagnosis("problem", message, remedy)
