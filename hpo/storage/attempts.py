"""Attempts: which worker trained which epochs of a trial, and how that attempt ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, bindparam, func, insert, select, update

from hpo import provenance
from hpo.records import Runtime
from hpo.storage.column_types import utc_now
from hpo.storage.tables import EPOCHS, AttemptRow, TrialRow

_DIED = "hpo: the worker died: "
"""Starts the line after the output of a worker that died."""
_PROCESS_DIED = "hpo: the process of the training "
"""Starts the last line of an attempt whose worker survived the process that trained."""
OUT_OF_MEMORY = "out of memory"


def begin(
    connection: Connection, trial_id: int, worker: str, device: str, from_epoch: int, on: Runtime
) -> int:
    """Open an attempt and return its number, from 1; an earlier one that is still open ends as lost."""
    earlier = connection.scalar(_LAST, {"of_trial": trial_id})
    if earlier is not None:
        end(connection, trial_id, "lost")
    number = (earlier or 0) + 1
    host, pid, _ = worker.rsplit(":", 2)
    row = {
        "trial_id": trial_id,
        "attempt": number,
        "worker": worker,
        "host": host,
        "pid": int(pid),
        "device": device,
        "processor": on.processor,
        "threads": on.threads,
        "precision": on.precision,
        "code_version": provenance.running_code(),
        "package_versions": provenance.running_packages(),
        "from_epoch": from_epoch,
    }
    connection.execute(_INSERT, row)
    return number


def is_open(connection: Connection, trial_id: int, attempt: int) -> bool:
    """Return whether the attempt exists and has not ended."""
    it = select(AttemptRow.attempt).where(
        AttemptRow.trial_id == trial_id, AttemptRow.attempt == attempt, AttemptRow.outcome.is_(None)
    )
    return connection.scalar(it) is not None


def restart_from(connection: Connection, trial_id: int, epoch: int) -> None:
    """Set the epochs that were complete when the open attempt started."""
    connection.execute(
        update(AttemptRow)
        .where(AttemptRow.trial_id == trial_id, AttemptRow.outcome.is_(None))
        .values(from_epoch=epoch)
    )


def process_died(how: str) -> str:
    """Return the line that tells the death of the process that trained, not of its worker."""
    return f"{_PROCESS_DIED}{how}"


def end(connection: Connection, trial_id: int, outcome: str, said: str = "") -> None:
    """End the trial's open attempt, if any, at the last recorded epoch; ``said`` is its output so far."""
    # When a worker was lost is unknown; only when it was noticed.
    statement = _END.values(ended_at=None) if outcome == "lost" else _END
    statement = statement.values(output=said) if said else statement
    connection.execute(statement, {"of_trial": trial_id, "outcome": outcome})


def store_output(connection: Connection, trial_id: int, attempt: int, text: str) -> None:
    """Store the output of the attempt's process."""
    it = (AttemptRow.trial_id == trial_id) & (AttemptRow.attempt == attempt)
    connection.execute(update(AttemptRow).where(it).values(output=text))


def store_death(connection: Connection, worker: str, output: str, cause: str) -> None:
    """Store the output of a worker that died for its last attempt, unless that has some, and why it died."""
    of_worker = select(AttemptRow.trial_id, AttemptRow.attempt, AttemptRow.output, AttemptRow.outcome).where(
        AttemptRow.worker == worker
    )
    last = connection.execute(of_worker.order_by(AttemptRow.started_at.desc()).limit(1)).one_or_none()
    if last is None or last.output is not None:
        return
    died = f"{_DIED}{cause}" if cause and last.outcome in (None, "lost", "hung") else ""
    text = "\n".join(part for part in (output, died) if part)
    if text:
        store_output(connection, last.trial_id, last.attempt, text)


@dataclass(frozen=True)
class Deaths:
    """The workers that were lost or hung in the furthest ``epoch`` of a trial, from 1."""

    count: int
    epoch: int
    cause: str = ""
    """Why the last of them died whose cause is known; starts with ``OUT_OF_MEMORY`` if that is certain."""
    processes: tuple[str, ...] = ()
    """How the process of the training died, if each death was its own: ``was killed by signal SIGKILL``."""


def deaths_in_a_row(connection: Connection, trial_id: int) -> Deaths:
    """Return the deaths in the trial's furthest epoch."""
    ended = select(AttemptRow.outcome, AttemptRow.to_epoch, AttemptRow.output).where(
        AttemptRow.trial_id == trial_id, AttemptRow.outcome.is_not(None)
    )
    furthest, deaths, cause = -1, 0, ""
    processes: list[str] = []
    for outcome, to_epoch, output in connection.execute(ended.order_by(AttemptRow.attempt)):
        if (to_epoch or 0) > furthest:
            furthest, deaths, cause, processes = to_epoch or 0, 0, "", []
        if outcome in ("lost", "hung"):
            deaths += 1
            last_line = (output or "").rpartition("\n")[2]
            process = _after(_PROCESS_DIED, last_line)
            processes += [process] if process else []
            cause = _after(_DIED, last_line) or process.removeprefix("was ") or cause
    own = tuple(dict.fromkeys(processes)) if len(processes) == deaths else ()
    return Deaths(deaths, furthest + 1, cause, own)


def _after(start: str, line: str) -> str:
    return line.removeprefix(start) if line.startswith(start) else ""


def seconds(connection: Connection, trial_id: int) -> float:
    """Return the seconds of the trial's attempts that have ended, without those that were lost."""
    ended = select(AttemptRow.started_at, AttemptRow.ended_at).where(
        AttemptRow.trial_id == trial_id, AttemptRow.ended_at.is_not(None)
    )
    spans = (row.ended_at - row.started_at for row in connection.execute(ended))
    return sum(spans, timedelta()).total_seconds()


def busy_seconds(connection: Connection, study_id: int) -> dict[int, float]:
    """Return the seconds that workers spent on each trial, by its id, without attempts that were lost."""
    attempts = (
        select(AttemptRow.trial_id, AttemptRow.started_at, AttemptRow.ended_at)
        .join(TrialRow, TrialRow.trial_id == AttemptRow.trial_id)
        .where(TrialRow.study_id == study_id, AttemptRow.ended_at.is_not(None))
    )
    total: dict[int, timedelta] = {}
    for row in connection.execute(attempts):
        total[row.trial_id] = total.get(row.trial_id, timedelta()) + (row.ended_at - row.started_at)
    return {trial_id: duration.total_seconds() for trial_id, duration in total.items()}


# Built once, which takes longer than running them. Columns are set by their names.
_OF_TRIAL = AttemptRow.trial_id == bindparam("of_trial")
_LAST = select(func.max(AttemptRow.attempt)).where(_OF_TRIAL)
_INSERT = insert(AttemptRow).values(started_at=utc_now())
_LAST_EPOCH = select(func.coalesce(func.max(EPOCHS.c.epoch), 0)).where(
    EPOCHS.c.trial_id == bindparam("of_trial")
)
_END = (
    update(AttemptRow)
    .where(_OF_TRIAL, AttemptRow.outcome.is_(None))
    .values(ended_at=utc_now(), to_epoch=_LAST_EPOCH.scalar_subquery())
)
