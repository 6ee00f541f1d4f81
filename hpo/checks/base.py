"""How checks make findings. Checks are pure: they read numbers and return findings."""

from __future__ import annotations

from dataclasses import dataclass

from hpo.records import NO_REMEDY, SEVERITIES, Finding, Remedy, Severity


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
