"""What ended most of the trials of a study that has failures, or no complete trial."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass

from sqlalchemy import Engine, select

from hpo.storage.engine import reading
from hpo.storage.studies import KNOWN, find_study
from hpo.storage.tables import TrialRow


@dataclass(frozen=True)
class FrequentFailure:
    """The most frequent verdict of the trials that did not succeed, and one of those trials."""

    state: str
    """``failed``; ``pruned`` if no trial failed, but none is complete either."""
    trials: int
    """Number of trials in that state."""
    verdict: str
    of_verdict: int
    """Number of trials with this verdict; verdicts that differ only in numbers are one."""
    number: int
    """The first of them."""


def frequent_failure(engine: Engine, study: str) -> FrequentFailure | None:
    """Return what ended most trials badly; None if a trial is complete and none failed.

    Raises ``UnknownStudyError``.
    """
    with reading(engine) as connection:
        study_id = find_study(connection, study).study_id
        ended = (
            select(TrialRow.outcome, KNOWN.c.number, TrialRow.verdict)
            .join(KNOWN, KNOWN.c.trial_id == TrialRow.trial_id)
            .where(TrialRow.study_id == study_id, TrialRow.outcome.in_(("failed", "pruned")))
            .order_by(KNOWN.c.number)
        )
        complete = select(TrialRow.trial_id).where(
            TrialRow.study_id == study_id, TrialRow.outcome == "complete"
        )
        rows = connection.execute(ended).all()
        state = "failed" if any(row.outcome == "failed" for row in rows) else "pruned"
        if state == "pruned" and connection.execute(complete.limit(1)).first() is not None:
            return None
    kinds: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for row in rows:
        if row.outcome == state:
            verdict = (row.verdict or "without a verdict").split("\n")[0]
            kinds[re.sub(r"[0-9]+", "#", verdict)].append((row.number, verdict))
    if not kinds:
        return None
    most = max(kinds.values(), key=len)
    number, verdict = most[0]
    return FrequentFailure(state, sum(map(len, kinds.values())), verdict, len(most), number)
