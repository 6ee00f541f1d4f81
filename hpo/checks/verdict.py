"""Verdict: one sentence on how a trial went, and what to change, out of its findings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hpo.checks.base import SEVERITIES, Finding

LABELS: dict[str, str] = {
    "exploding_loss": "exploded",
    "initial_loss": "bad start",
    "learned": "did not learn",
    "regularized_loss": "regularization has no effect",
    "out_of_memory": "out of memory",
    "error": "error",
}
"""What a verdict calls the trial when this check is its cause; the order is that of causes: the first wins
among findings of equal severity."""

HEALTHY = "healthy"


@dataclass(frozen=True)
class Verdict:
    """``label`` is one of LABELS or 'healthy'; ``text`` adds the evidence; ``remedy`` is what to change."""

    label: str
    text: str
    remedy: str


def verdict(findings: Sequence[Finding]) -> Verdict:
    """The worst finding decides; among equals, the one that LABELS names first. Notes only support it."""
    bad = [finding for finding in findings if finding.severity in ("warn", "fatal")]
    if not bad:
        return Verdict(HEALTHY, HEALTHY, "")
    order = list(LABELS)
    cause = max(bad, key=lambda f: (SEVERITIES.index(f.severity), -order.index(f.check)))
    evidence = [cause.message]
    if cause.check == "learned":
        evidence += [f.message for f in findings if f.check == "overfit_small" and f.severity == "note"]
    label = LABELS[cause.check]
    return Verdict(label, f"{label}: {'; '.join(evidence)}", cause.remedy)
