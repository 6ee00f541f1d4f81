"""The notes of a study and its trials, as short Markdown for the dashboard."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from hpo.checks.causes import HEALTHY, OUTCOMES, evidence
from hpo.config.objective import ACCURACY, Objective
from hpo.config.study import TEST
from hpo.config.tradeoff import amount_text
from hpo.queries.study import StudyOverview, TrialSummary
from hpo.queries.tradeoffs import Tradeoffs
from hpo.records import ClassResult, StudyFinding
from hpo.reporting import formatting
from hpo.reporting.figures.points import cause_of
from hpo.reporting.figures.style import RUNNING, STOPPED_EARLY, cause_label
from hpo.text import printable

_MARKED = re.compile(r"([\\`*_{}\[\]<>()#+!|~&$]|(?<=:)/)")
_SHOWN = 5
"""The number of best trials that are listed, and of examples for each cause of failure."""


def escaped(text: str) -> str:
    """Escape Markdown: names and messages may contain anything."""
    return _MARKED.sub(r"\\\1", " ".join(printable(text).split()))


def has_problem(trial: TrialSummary) -> bool:
    """Return whether the trial ended and something was wrong with it."""
    return cause_of(trial) not in (*OUTCOMES, RUNNING, STOPPED_EARLY)


def best_trials(overview: StudyOverview, count: int = _SHOWN) -> list[TrialSummary]:
    """Return the best complete trials, best first, without evaluations on the test images."""
    ranked = [each for each in overview.trials if each.state == "complete" and each.stage != TEST]
    valued = [each for each in ranked if each.value is not None]
    goal = overview.goal
    return sorted(valued, key=lambda each: (-goal.score(each.value or 0.0), each.number))[:count]


def trial_note(
    trial: TrialSummary,
    searched: Sequence[str],
    rank: int | None = None,
    goal: Objective = ACCURACY,
    lowest: ClassResult | None = None,
) -> str:
    """Return the verdict, evidence and remedy of a trial.

    ``rank`` is given for one of the best, with its class of the ``lowest`` recall.
    """
    parts = []
    if rank is not None:
        place = "The best trial" if rank == 1 else f"Rank {rank} of all trials"
        epoch = f" in epoch {trial.best_epoch}" if trial.best_epoch else ""
        parts.append(f"**{place}**: {escaped(goal.label)} {goal.text(trial.value)}{epoch}.")
    if lowest is not None:
        parts.append(
            f"Lowest recall: class {escaped(lowest.class_name)}, {lowest.recall:.3f} ({lowest.correct:,} of "
            f"{formatting.counted(lowest.images, 'image')})."
        )
    if trial.cause == HEALTHY:
        parts.append("Healthy: no check found anything that explains a bad result.")
    elif trial.cause in OUTCOMES:
        parts.append(f"{escaped(trial.verdict or OUTCOMES[trial.cause]).capitalize()}.")
    elif trial.cause:
        sure = "" if trial.confidence is None else f" ({trial.confidence:.0%} confidence)"
        parts.append(f"### {escaped(cause_label(trial.cause))}{sure}")
        parts.append(escaped(evidence(trial.verdict or "")))
    if trial.remedy:
        parts.append(f"**Try:** {escaped(trial.remedy)}")
    values = {name: trial.configuration.get(name) for name in searched}
    settings = formatting.hyperparameters(
        {name: value for name, value in values.items() if value is not None}
    )
    parts.append(f"Hyperparameters: {escaped(settings)}.")
    return "\n\n".join(part for part in parts if part)


def study_note(
    overview: StudyOverview,
    findings: Sequence[StudyFinding],
    study_id: int,
    tradeoffs: Tradeoffs | None = None,
) -> str:
    """Return the study's progress, best trials, trade-offs, problems by cause with remedies, and findings."""
    searched = list(overview.spec.get("space", {}))
    sections = [
        _progress(overview, searched),
        _best(overview, searched, study_id),
        _tradeoffs(tradeoffs, overview.goal, study_id) if tradeoffs else "",
        _problems(overview, study_id),
        _findings(findings),
    ]
    return "\n\n".join(section for section in sections if section)


def _on(overview: StudyOverview) -> str:
    return f", on {escaped(overview.dataset)}" if overview.dataset else ""


def _progress(overview: StudyOverview, searched: Sequence[str]) -> str:
    ended = sum(each.ended_at is not None for each in overview.trials)
    running = sum(cause_of(each) == RUNNING for each in overview.trials)
    running_too = f", {running} running" if running else ""
    stopped = " The study is stopped: `hpo resume` lets workers continue." if overview.stopped_at else ""
    return (
        f"## {escaped(overview.name)}\n\n"
        f"{formatting.counted(ended, 'trial')} done{running_too}{_on(overview)}; searched: "
        f"{escaped(', '.join(searched) or 'nothing')}.{stopped}"
    )


def _best(overview: StudyOverview, searched: Sequence[str], study_id: int) -> str:
    rows = [
        [
            _link(trial, study_id),
            overview.goal.text(trial.value),
            *(_cell(trial, name) for name in searched),
            escaped(cause_label(trial.cause or "")),
        ]
        for trial in best_trials(overview)
    ]
    if not rows:
        return ""
    return "### Best trials\n\n" + _table(
        ["trial", escaped(overview.goal.label), *map(escaped, searched), "verdict"], rows
    )


def _tradeoffs(found: Tradeoffs, goal: Objective, study_id: int) -> str:
    parts = [f"{escaped(found.remark[:1].upper() + found.remark[1:])}."] if found.remark else []
    if len(found.front) > 1:
        rows = [
            [_number_link(each.number, study_id), amount_text(each.amount), goal.text(each.value)]
            for each in found.front
        ]
        parts.append(_table(["trial", escaped(found.of.label), escaped(goal.label)], rows))
    return "\n\n".join(["### Trade-offs", *parts]) if parts else ""


def _problems(overview: StudyOverview, study_id: int) -> str:
    groups: dict[str, list[TrialSummary]] = defaultdict(list)
    for trial in filter(has_problem, overview.trials):
        groups[cause_of(trial)].append(trial)
    if not groups:
        return ""
    rows = []
    for cause, trials in sorted(groups.items(), key=lambda each: -len(each[1])):
        examples = ", ".join(_link(trial, study_id) for trial in trials[:_SHOWN])
        remedy = next((trial.remedy for trial in trials if trial.remedy), "")
        rows.append([escaped(cause_label(cause)), str(len(trials)), examples, escaped(remedy or "")])
    return "### Problems\n\n" + _table(["cause", "trials", "examples", "remedy"], rows)


def _findings(findings: Sequence[StudyFinding]) -> str:
    if not findings:
        return ""
    lines = []
    for finding in findings:
        remedy = f" **Try:** {escaped(finding.remedy)}" if finding.remedy else ""
        lines.append(f"- {escaped(finding.message)}.{remedy}")
    return "### Findings about the study\n\n" + "\n".join(lines)


def _link(trial: TrialSummary, study_id: int) -> str:
    return _number_link(trial.number, study_id)


def _number_link(number: int, study_id: int) -> str:
    return f"[{number}](/dashboard/studies/{study_id}/trials?numbers={number})"


def _cell(trial: TrialSummary, name: str) -> str:
    value = trial.configuration.get(name)
    return "–" if value is None else escaped(formatting.setting(value))


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
