"""The stored findings on a study, replaced as its trials finish."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select

from hpo.diagnosis.findings import study_findings
from hpo.diagnosis.trials import read_finished, results_of_first_stage
from hpo.records import StudyFinding
from hpo.storage.column_types import utc_now
from hpo.storage.engine import write
from hpo.storage.record_columns import row_of
from hpo.storage.store import ResultsStore
from hpo.storage.tables import STUDY_FINDINGS, StudyRow


def refresh_findings(store: ResultsStore, name: str) -> list[StudyFinding]:
    """Diagnose the finished trials of a study and replace its stored findings.

    Runs in one transaction that locks the study. Raises ``UnknownStudyError``.
    """

    def work(connection: Connection) -> list[StudyFinding]:
        lock_study(connection, name)
        finished = read_finished(connection, name)
        found = study_findings(results_of_first_stage(finished))
        replace_findings(connection, finished.study_id, found, len(finished.trials))
        return found

    return write(store.engine, work)


def lock_study(connection: Connection, name: str) -> None:
    """Prevent others from replacing the findings of a study until the transaction ends."""
    connection.execute(select(StudyRow.study_id).where(StudyRow.name == name).with_for_update())


def replace_findings(
    connection: Connection, study_id: int, records: Sequence[StudyFinding], trials_seen: int
) -> None:
    """Replace the stored findings of a study."""
    connection.execute(delete(STUDY_FINDINGS).where(STUDY_FINDINGS.c.study_id == study_id))
    for position, record in enumerate(records, start=1):
        connection.execute(
            insert(STUDY_FINDINGS).values(
                study_id=study_id,
                position=position,
                trials_seen=trials_seen,
                made_at=utc_now(),
                **row_of(record),
            )
        )
