"""The verdict: one root cause from all findings, its confidence, its evidence and its remedy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hpo.checks.causes import (
    CAUSES,
    HEALTHY,
    JUDGED_BY_STUDY,
    NOT_CHECKED,
    NOT_ENOUGH,
    NOTHING_SEEN,
    OUTCOMES,
    SYMPTOMS,
    UNSEEN,
)
from hpo.checks.evidence import Coverage
from hpo.records import Finding, Severity

_WEIGHT: dict[Severity, float] = {"pass": 0.0, "note": 0.7, "warn": 1.0, "fatal": 1.0}
"""Weight of a finding's confidence: a note alone never leads to a verdict, but it can name the cause."""
_EXPLAINED = 0.4
"""Factor on a cause that a likely one explains: a cascade is named after its first cause."""
_DIRECT = ("labels_do_not_match",)
"""Causes that, once conclusive, were seen in the data: how the training went does not explain them."""
_LIKELY = 0.25
"""Score above which evidence names the second cause; a consequence that a warning names reaches it."""
_CONCLUSIVE = 0.9
"""Confidence above which the first cause needs no second one."""


@dataclass(frozen=True)
class Verdict:
    """A root cause with its evidence: ``cause`` is in CAUSES or OUTCOMES, ``second_cause`` in CAUSES."""

    cause: str
    text: str
    remedy: str = ""
    change: Mapping[str, Any] = field(default_factory=dict)
    """The remedy for programs: configuration fields and their new values, or ``{"code": fix}``."""
    confidence: float = 1.0
    second_cause: str = ""

    def __str__(self) -> str:
        return f"{self.text}\n  try: {self.remedy}" if self.remedy else self.text


def verdict(
    findings: Sequence[Finding],
    coverage: Coverage | None = None,
    *,
    checked: bool = True,
    is_trial: bool = False,
) -> Verdict:
    """Return the likeliest cause that no other likely cause explains, or without warnings one of OUTCOMES.

    Without ``coverage`` nothing is known but the findings: a training without warnings is healthy, unless it
    was not ``checked``. A trial of a study (``is_trial``) does not accuse what the study judges.
    """
    if is_trial:
        findings = [each for each in findings if each.cause not in JUDGED_BY_STUDY]
    if not any(finding.severity in ("warn", "fatal") for finding in findings):
        unseen = next((finding for finding in findings if finding.check == UNSEEN), None)
        if unseen is not None:
            text = f"{OUTCOMES[NOT_ENOUGH]}: {unseen.message}"
            return Verdict(NOT_ENOUGH, text, unseen.remedy.text, confidence=0.0)
        if not checked:
            return Verdict(NOT_CHECKED, OUTCOMES[NOT_CHECKED], confidence=0.0)
        return Verdict(HEALTHY, HEALTHY) if coverage is None else _outcome(coverage)
    scores = _explained(_scores(findings))
    order = list(CAUSES)
    ranked = sorted(scores, key=lambda cause: (-round(scores[cause], 3), order.index(cause)))
    cause = ranked[0]
    evidence = [finding for finding in findings if finding.cause == cause and finding.severity != "pass"]
    main = max(evidence, key=lambda finding: finding.confidence * _WEIGHT[finding.severity])
    remedy = next((each for each in [main, *evidence] if each.remedy.text), main).remedy
    return Verdict(
        cause=cause,
        text=f"{CAUSES[cause].label}: {_evidence(main, findings)}",
        remedy=remedy.text,
        change=remedy.change,
        confidence=round(min(scores[cause], 1.0), 3),
        second_cause=_second(ranked, scores),
    )


def _outcome(coverage: Coverage) -> Verdict:
    """Return what a training without warnings has shown."""
    if not coverage.is_enough:
        text = f"{OUTCOMES[NOT_ENOUGH]}: {coverage.seen}"
        return Verdict(NOT_ENOUGH, text, "pass the loss of each step to step()", confidence=0.0)
    if coverage.learned:
        return Verdict(HEALTHY, f"{HEALTHY}: {coverage.seen}")
    off = f", and {coverage.off}" if coverage.off else ""
    text = f"{OUTCOMES[NOTHING_SEEN]} ({coverage.seen}), but nothing shows that it learned{off}"
    return Verdict(NOTHING_SEEN, text, coverage.advice, confidence=0.5)


def _second(ranked: Sequence[str], scores: Mapping[str, float]) -> str:
    """Return the alternative: the next cause with evidence, or the one that the first is mistaken for.

    Symptoms, such as not learning, are not alternatives.
    """
    first, *others = ranked
    likely = [each for each in others if each not in SYMPTOMS and scores[each] >= _LIKELY]
    if likely:
        return likely[0]
    if scores[first] < _CONCLUSIVE and CAUSES[first].resembles:
        return CAUSES[first].resembles
    return others[0] if others else ""


def _scores(findings: Sequence[Finding]) -> dict[str, float]:
    """Return for each cause the probability that not all findings for it are wrong."""
    wrong: dict[str, float] = {}
    for finding in findings:
        if finding.cause and finding.severity != "pass":
            doubt = 1 - finding.confidence * _WEIGHT[finding.severity]
            wrong[finding.cause] = wrong.get(finding.cause, 1.0) * doubt
    return {cause: 1 - doubt for cause, doubt in wrong.items()}


def _explained(scores: Mapping[str, float]) -> dict[str, float]:
    """Lower the scores of the consequences of likely causes."""
    reduced = dict(scores)
    for cause, score in scores.items():
        for other in CAUSES[cause].explains:
            is_own = other in _DIRECT and scores.get(other, 0.0) >= _CONCLUSIVE
            if other in scores and score >= 0.5 * scores[other] and not is_own:
                reduced[other] = min(reduced[other], _EXPLAINED * scores[other])
    return reduced


def _evidence(main: Finding, findings: Sequence[Finding]) -> str:
    """Return the message of the main finding, followed by the outcome of the training."""
    where = f"{main.layer}: " if main.layer else ""
    outcome = next(
        (each for each in findings if each.severity == "fatal" and each is not main),
        next((each for each in findings if each.check == "learned" and each.severity == "warn"), None),
    )
    after = f"; {outcome.message}" if outcome is not None and outcome is not main else ""
    return f"{where}{main.message}{after}"
