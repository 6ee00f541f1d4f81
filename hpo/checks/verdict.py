"""Verdict: one root cause out of all findings, how sure it is, its evidence and its remedy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hpo.checks.causes import CAUSES, HEALTHY, SYMPTOMS
from hpo.records import Finding, Severity

_WEIGHT: dict[Severity, float] = {"pass": 0.0, "note": 0.7, "warn": 1.0, "fatal": 1.0}
"""How much a finding's confidence counts: a note alone never makes a verdict, but it can name the cause."""
_EXPLAINED = 0.4
"""What is left of a cause that another, likely one explains: a cascade is named after its first cause."""
_LIKELY = 0.25
"""Score from which evidence names the second cause; a consequence that a warning names has it."""
_CONCLUSIVE = 0.9
"""Confidence from which the first cause needs no second one beside it."""


@dataclass(frozen=True)
class Verdict:
    """``cause`` is 'healthy' or, as ``second_cause``, a key of CAUSES; ``text`` gives the evidence."""

    cause: str
    text: str
    remedy: str = ""
    change: Mapping[str, Any] = field(default_factory=dict)
    """The remedy for programs: configuration fields and their new values, or ``{"code": fix}``."""
    confidence: float = 1.0
    second_cause: str = ""


def verdict(findings: Sequence[Finding]) -> Verdict:
    """Healthy unless something is worth a warning; else the likeliest cause that no likely one explains."""
    if not any(finding.severity in ("warn", "fatal") for finding in findings):
        return Verdict(HEALTHY, HEALTHY)
    scores = _explained(_scores(findings))
    order = list(CAUSES)
    ranked = sorted(scores, key=lambda cause: (-round(scores[cause], 3), order.index(cause)))
    cause = ranked[0]
    spoke = [finding for finding in findings if finding.cause == cause and finding.severity != "pass"]
    main = max(spoke, key=lambda finding: finding.confidence * _WEIGHT[finding.severity])
    advice = next((each for each in [main, *spoke] if each.remedy.text), main).remedy
    return Verdict(
        cause=cause,
        text=f"{CAUSES[cause].words}: {_evidence(main, findings)}",
        remedy=advice.text,
        change=advice.change,
        confidence=round(min(scores[cause], 1.0), 3),
        second_cause=_second(ranked, scores),
    )


def _second(ranked: Sequence[str], scores: Mapping[str, float]) -> str:
    """What it is if it is not the first: the next that has evidence, or else what the first is taken for.

    That something did not learn is no such alternative.
    """
    first, *others = ranked
    likely = [each for each in others if each not in SYMPTOMS and scores[each] >= _LIKELY]
    if likely:
        return likely[0]
    if scores[first] < _CONCLUSIVE and CAUSES[first].resembles:
        return CAUSES[first].resembles
    return others[0] if others else ""


def _scores(findings: Sequence[Finding]) -> dict[str, float]:
    """For each cause the chance that not all who speak for it are wrong."""
    wrong: dict[str, float] = {}
    for finding in findings:
        if finding.cause and finding.severity != "pass":
            doubt = 1 - finding.confidence * _WEIGHT[finding.severity]
            wrong[finding.cause] = wrong.get(finding.cause, 1.0) * doubt
    return {cause: 1 - doubt for cause, doubt in wrong.items()}


def _explained(scores: Mapping[str, float]) -> dict[str, float]:
    """Scores with the consequences of likely causes taken down."""
    reduced = dict(scores)
    for cause, score in scores.items():
        for other in CAUSES[cause].explains:
            if other in scores and score >= 0.5 * scores[other]:
                reduced[other] = min(reduced[other], _EXPLAINED * scores[other])
    return reduced


def _evidence(main: Finding, findings: Sequence[Finding]) -> str:
    """The cause's own evidence, and what came of it."""
    where = f"{main.layer}: " if main.layer else ""
    outcome = next(
        (each for each in findings if each.severity == "fatal" and each is not main),
        next((each for each in findings if each.check == "learned" and each.severity == "warn"), None),
    )
    after = f"; {outcome.message}" if outcome is not None and outcome is not main else ""
    return f"{where}{main.message}{after}"
