"""How trials failed, and what that says about the study, as `hpo run` and `hpo status` end."""

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
from hpo.diagnosis.refresh import study_results
from hpo.reporting.failures import group_failures


def print_diagnosis(console: Console, engine: Engine, study: str) -> None:
    """One line for each way in which trials failed, then what the study says as a whole; may be nothing."""
    results = study_results(engine, study)
    found = study_findings(results)
    failures = group_failures(results, found)
    stages = results.spec.stages  # the first one draws from all of the space: what its trials say is shown
    where = f" in stage {stages[0].name}" if stages else ""
    if failures:
        print_title(console, f"did not go well{where}")
    for failure in failures:
        console.print(Text(printable(f"  {failure}")), soft_wrap=True)
    if found:
        print_title(
            console, f"the study as a whole, by what was seen{where}" if where else "the study as a whole"
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
    """The same for programs."""
    results = study_results(engine, study)
    found = study_findings(results)
    return {
        "unwell": [asdict(failure) for failure in group_failures(results, found)],
        "study_findings": [asdict(finding) for finding in found],
        "importance": [statement for answer in importance(results) for statement in answer.statements],
    }


def _hanging(label: Text, text: Text) -> Table:
    """A text that goes on below its own beginning where it is wider than the terminal."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(width=len("  warn"))
    grid.add_row(label, text)
    return grid
