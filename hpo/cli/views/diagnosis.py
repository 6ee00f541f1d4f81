"""Problems of trials and findings on the study, printed at the end of `hpo run` and `hpo status`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy import Engine

from hpo.cli.console import print_title, printable
from hpo.cli.views.tables import SEVERITY_STYLES
from hpo.diagnosis.findings import study_findings
from hpo.diagnosis.importance import importance, strongest
from hpo.diagnosis.trials import study_results
from hpo.reporting.failures import group_failures


def print_diagnosis(console: Console, engine: Engine, study: str) -> None:
    """Print a line for each cause of failures, then the findings about the study, if any."""
    results = study_results(engine, study)
    found = study_findings(results)
    failures = group_failures(results, found)
    stages = results.spec.stages  # the first stage draws from the whole space, so its trials are judged
    where = f" in stage {stages[0].name}" if stages else ""
    if failures:
        print_title(console, f"problems{where}")
    for failure in failures:
        console.print(Text(printable(f"  {failure}")), soft_wrap=True)
    if found:
        print_title(
            console,
            f"findings about the study, judged by its trials{where}" if where else "findings about the study",
        )
    for finding in found:
        severity = Text(f"  {finding.severity}", SEVERITY_STYLES[finding.severity])
        console.print(_hanging(severity, Text(printable(finding.message))))
        if finding.remedy:
            remedy = Text.assemble(("try: ", "bold"), printable(finding.remedy))
            console.print(_hanging(Text(""), remedy))
    matters = strongest(importance(results))
    if matters:
        print_title(console, "what matters")
    for statement in matters:
        console.print(_hanging(Text("  note", SEVERITY_STYLES["note"]), Text(printable(statement))))


def as_dict(engine: Engine, study: str) -> dict[str, Any]:
    """Return the same for programs."""
    results = study_results(engine, study)
    found = study_findings(results)
    return {
        "unwell": [asdict(failure) for failure in group_failures(results, found)],
        "study_findings": [asdict(finding) for finding in found],
        "importance": [statement for answer in importance(results) for statement in answer.statements],
    }


def _hanging(label: Text, text: Text) -> Table:
    """Indent the lines of a text that is wider than the terminal below its first."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(width=len("  warn"))
    grid.add_row(label, text)
    return grid
