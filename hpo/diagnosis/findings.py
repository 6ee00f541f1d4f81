"""All checks of a whole study; their findings, the most useful first."""

from __future__ import annotations

from typing import Any

from hpo.diagnosis.base import StudyResults
from hpo.diagnosis.border import border
from hpo.diagnosis.conditions import TrialTable
from hpo.diagnosis.cost import cost
from hpo.diagnosis.data import data
from hpo.diagnosis.failing_choices import never_works
from hpo.diagnosis.failures import failures
from hpo.diagnosis.noise import noise
from hpo.records import StudyFinding


def study_findings(results: StudyResults) -> list[StudyFinding]:
    """Return the findings about a study, from its finished trials. Deterministic."""
    results = results.within_limit
    if not results.trials:
        return [*results.of_images]
    table = TrialTable.of(results)
    never = never_works(results, table)
    where = [each for each in failures(results, table) if not _is_covered(each, never)]
    return [
        *results.of_images,
        *data(results),
        *where,
        *never,
        *border(results),
        *noise(results),
        *cost(results),
    ]


def _is_covered(finding: StudyFinding, never: list[StudyFinding]) -> bool:
    """Whether the finding only repeats that a choice never works."""
    return any(all(condition in _where(finding) for condition in _where(each)) for each in never)


def _where(finding: StudyFinding) -> list[dict[str, Any]]:
    return list(finding.evidence["where"])
