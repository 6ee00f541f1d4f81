"""How trials failed, and what that says about the study, as `hpo run` and `hpo status` end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy import Engine

from hpo.checks.causes import CAUSES, HEALTHY
from hpo.checks.study.base import StudyFinding, StudyResults, TrialResult
from hpo.checks.study.findings import study_findings
from hpo.checks.study.importance import importance, strongest
from hpo.cli.console import printable
from hpo.cli.tables import SEVERITY_STYLES
from hpo.diagnosis import study_results
from hpo.reporting import words


def print_diagnosis(console: Console, engine: Engine, study: str) -> None:
    """One line for each way in which trials failed, then what the study says as a whole; may be nothing."""
    results = study_results(engine, study)
    found = study_findings(results)
    failures = unwell(results, found)
    if failures:
        _title(console, "did not go well")
    for failure in failures:
        console.print(Text(printable(f"  {failure}")), soft_wrap=True)
    if found:
        _title(console, "the study as a whole")
    for finding in found:
        severity = Text(f"  {finding.severity}", SEVERITY_STYLES[finding.severity])
        console.print(_hanging(severity, Text(printable(finding.message))))
        if finding.remedy:
            remedy = Text.assemble(("try: ", "bold"), printable(finding.remedy))
            console.print(_hanging(Text(""), remedy))
    matters = strongest(importance(results))
    if matters:
        _title(console, "what matters")
    for statement in matters:
        console.print(_hanging(Text("  note", SEVERITY_STYLES["note"]), Text(printable(statement))))


def as_dict(engine: Engine, study: str) -> dict[str, Any]:
    """The same for programs."""
    results = study_results(engine, study)
    found = study_findings(results)
    return {
        "unwell": [asdict(failure) for failure in unwell(results, found)],
        "study_findings": [asdict(finding) for finding in found],
        "importance": [statement for answer in importance(results) for statement in answer.statements],
    }


@dataclass(frozen=True)
class Unwell:
    """Trials with one cause, and what a verdict calls it; where ``lr`` was searched, its range.

    The range is left out where a finding says better where they lie.
    """

    cause: str
    label: str
    numbers: tuple[int, ...]
    lowest_lr: float | None
    highest_lr: float | None

    def __str__(self) -> str:
        lr = ""
        if self.lowest_lr is not None and self.highest_lr is not None:
            low, high = words.setting(self.lowest_lr), words.setting(self.highest_lr)
            lr = f", lr {low}" if low == high else f", lr {low} to {high}"
        numbers = ", ".join(map(str, self.numbers[:8])) + (" ..." if len(self.numbers) > 8 else "")
        return f"{self.label}: {words.count(len(self.numbers), 'trial')}{lr} (number {numbers})"


def unwell(results: StudyResults, found: Sequence[StudyFinding]) -> list[Unwell]:
    """The trials of a study that did not go well, by their verdict's cause, the most frequent first."""
    groups: dict[str, list[TrialResult]] = defaultdict(list)
    for trial in results.trials:
        if trial.cause != HEALTHY:
            groups[trial.cause].append(trial)
    located = {finding.evidence.get("cause") for finding in found}
    failures = [_unwell(cause, trials, cause not in located) for cause, trials in groups.items()]
    return sorted(failures, key=lambda each: -len(each.numbers))


def _unwell(cause: str, trials: Sequence[TrialResult], with_lr: bool) -> Unwell:
    lrs = [trial.values["lr"] for trial in trials if with_lr and "lr" in trial.values]
    numbers = tuple(trial.number for trial in trials)
    label = CAUSES[cause].words if cause in CAUSES else cause
    return Unwell(cause, label, numbers, min(lrs, default=None), max(lrs, default=None))


def _title(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, "bold"))


def _hanging(label: Text, text: Text) -> Table:
    """A text that goes on below its own beginning where it is wider than the terminal."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(width=len("  warn"))
    grid.add_row(label, text)
    return grid
