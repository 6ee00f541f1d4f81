"""Judge: runs checks on what has been seen, and reports each finding once, or again when it gets worse."""

from __future__ import annotations

from collections.abc import Iterable

from hpo.checks.observations import Observations
from hpo.checks.registry import AFTER, BEFORE, DURING, Check
from hpo.config.thresholds import Thresholds
from hpo.records import SEVERITIES, Finding

LOOK_STEPS = 20
"""Steps between two looks: an explosion costs at most that many steps more."""


class Judge:
    """Remembers what it has said of one training."""

    def __init__(self, limits: Thresholds) -> None:
        self._limits = limits
        self.said: dict[str, int] = {}
        """By check, the rank in SEVERITIES of the worst that was said."""

    def before(self, seen: Observations) -> list[Finding]:
        """Findings on the untrained network."""
        return self._run(BEFORE, seen)

    def during(self, seen: Observations) -> list[Finding]:
        """What is new at a look."""
        return self._run(DURING, seen)

    def after(self, seen: Observations) -> list[Finding]:
        """What is new once the training is over."""
        return self._run(AFTER, seen)

    def _run(self, checks: Iterable[Check], seen: Observations) -> list[Finding]:
        found = [finding for check in checks for finding in check(seen, self._limits)]
        return [finding for finding in found if self._is_new(finding)]

    def _is_new(self, finding: Finding) -> bool:
        rank = SEVERITIES.index(finding.severity)
        if self.said.get(finding.check, -1) >= rank:
            return False
        self.said[finding.check] = rank
        return True


def replay(seen: Observations, limits: Thresholds, *, acting: bool = True) -> list[Finding]:
    """Judge a recorded training again, look by look; ``acting`` stops at the first fatal finding."""
    judge = Judge(limits)
    findings = judge.before(seen.until(0)) if seen.preflight is not None else []
    ends = {epoch.step for epoch in seen.curve}
    looks = sorted({*range(LOOK_STEPS, seen.steps + 1, LOOK_STEPS), *ends})
    for steps in looks:
        if acting and any(finding.severity == "fatal" for finding in findings):
            return findings
        findings += judge.during(seen.until(steps))
    if acting and any(finding.severity == "fatal" for finding in findings):
        return findings
    return findings + judge.after(seen)
