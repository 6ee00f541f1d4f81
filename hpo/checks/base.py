"""Finding: what a check saw. Checks are pure: they read numbers and return findings; only trial.py acts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["pass", "note", "warn", "fatal"]
SEVERITIES: tuple[Severity, ...] = ("pass", "note", "warn", "fatal")


@dataclass(frozen=True)
class Finding:
    """One check's number beside its threshold, what it means in words, and what to change."""

    check: str
    severity: Severity
    value: float
    threshold: float
    message: str
    remedy: str = ""
    step: int = 0
    """0-based over the whole training; 0 also for what was found before it."""
