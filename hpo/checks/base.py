"""Finding: what a check saw. Checks are pure: they read numbers and return findings; only trial.py acts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["pass", "note", "warn", "fatal"]
SEVERITIES: tuple[Severity, ...] = ("pass", "note", "warn", "fatal")


@dataclass(frozen=True)
class Remedy:
    """What to change: ``text`` for people, ``change`` for programs."""

    text: str
    change: Mapping[str, Any] = field(default_factory=dict)
    """Configuration fields and their new values, or ``{"code": fix}`` for a mistake in a loop's code."""


NO_REMEDY = Remedy("")


@dataclass(frozen=True)
class Finding:
    """One check's number beside its threshold, what it means in words, and what to change."""

    check: str
    severity: Severity
    value: float
    threshold: float
    message: str
    remedy: Remedy = NO_REMEDY
    step: int = 0
    """0-based over the whole training; 0 also for what was found before it."""
    layer: str = ""
    """Where in the network; empty for the whole of it."""
    cause: str = ""
    """A key of ``causes.CAUSES`` that this finding speaks for; empty if it only describes."""
    confidence: float = 0.5
    """How sure this finding alone makes that cause, 0 to 1."""
