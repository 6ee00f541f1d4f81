"""Findings and how checks make them. Checks are pure: they read numbers and return findings."""

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
    """One check's number, its threshold, what it means, and what to change."""

    check: str
    severity: Severity
    value: float
    threshold: float
    message: str
    remedy: Remedy = NO_REMEDY
    step: int = 0
    """0-based over the whole training; 0 also for findings before it."""
    layer: str = ""
    """Where in the network; empty for the whole network."""
    cause: str = ""
    """A key of ``causes.CAUSES`` that this finding is evidence for; empty if it only describes."""
    confidence: float = 0.5
    """How certain this finding alone makes that cause, 0 to 1."""


@dataclass(frozen=True)
class _FindingOf:
    """Makes findings of one severity."""

    severity: Severity

    def __call__(
        self,
        check: str,
        value: float,
        threshold: float,
        message: str,
        remedy: Remedy = NO_REMEDY,
        *,
        step: int = 0,
        layer: str = "",
        cause: str = "",
        confidence: float = 0.5,
    ) -> Finding:
        return Finding(
            check, self.severity, value, threshold, message, remedy, step, layer, cause, confidence
        )


passed, note, warn, fatal = map(_FindingOf, SEVERITIES)
"""``warn("labels", value, threshold, message, remedy, cause=...)`` makes a finding."""
