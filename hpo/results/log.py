"""How a trial went, in the order of time: attempts, epochs, findings, what its workers printed, its end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, select

from hpo.results.engine import reading
from hpo.results.tables import EpochRow
from hpo.results.trial_query import Attempt, TrialDetail, trial_detail


@dataclass(frozen=True)
class LogEntry:
    """One thing that happened; ``time`` (UTC) is None where only the order is known."""

    time: datetime | None
    kind: str
    """begun, printed, finding, epoch, ended, verdict or error."""
    text: str
    worker: str
    severity: str = ""
    """Of a finding."""


def trial_log(engine: Engine, study: str, number: int) -> list[LogEntry]:
    """Everything that is stored about how a trial went.

    Raises ``UnknownStudyError``, or ``UserError`` for a wrong number.
    """
    trial = trial_detail(engine, study, number)
    of_trial = select(EpochRow.epoch, EpochRow.ended_at).where(EpochRow.trial_id == trial.trial_id)
    with reading(engine) as connection:
        ends = {row.epoch: row.ended_at for row in connection.execute(of_trial)}
    return list(_entries(trial, ends))


def _entries(trial: TrialDetail, ends: dict[int, datetime]) -> Iterator[LogEntry]:
    done = 0
    for attempt in trial.attempts:
        yield LogEntry(attempt.started_at, "begun", _begun(attempt), attempt.worker)
        is_last = attempt is trial.attempts[-1]
        last = max(ends, default=0) if is_last or attempt.to_epoch is None else attempt.to_epoch
        yield from _epochs(trial, ends, done, last, attempt.worker)
        done = max(done, last)
        if attempt.output:
            yield LogEntry(None, "printed", attempt.output, attempt.worker)
        if attempt.outcome:
            said = f"attempt {attempt.attempt} {attempt.outcome} after epoch {attempt.to_epoch or 0}"
            yield LogEntry(attempt.ended_at, "ended", said, attempt.worker)
    # The trial ends a moment before its last attempt does, in one transaction.
    ends_at = [trial.ended_at, *(each.ended_at for each in trial.attempts)]
    over = max((each for each in ends_at if each is not None), default=None)
    if trial.verdict:
        yield LogEntry(over, "verdict", f"{trial.state}: {trial.verdict}", trial.worker)
    if trial.error:
        yield LogEntry(over, "error", trial.error.strip(), trial.worker)


def _begun(attempt: Attempt) -> str:
    on = attempt.device if attempt.precision is None else f"{attempt.device}, {attempt.precision}"
    where = f"goes on after epoch {attempt.from_epoch}" if attempt.from_epoch else "begins"
    return f"attempt {attempt.attempt} {where} on {on}"


def _epochs(
    trial: TrialDetail, ends: dict[int, datetime], done: int, last: int, worker: str
) -> Iterator[LogEntry]:
    if done == 0:
        yield from _findings(trial, 0, worker)
    for record in trial.curve:
        if not done < record.epoch <= last:
            continue
        said = (
            f"epoch {record.epoch}: val_accuracy {record.val_accuracy:.4f}, val_loss {record.val_loss:.4g}, "
            f"train_loss {record.train_loss:.4g}, {record.seconds:.1f} s"
        )
        yield LogEntry(ends.get(record.epoch), "epoch", said, worker)
        yield from _findings(trial, record.epoch, worker)


def _findings(trial: TrialDetail, epochs: int, worker: str) -> Iterator[LogEntry]:
    """What was found when so many epochs were over."""
    for each in trial.findings:
        if each.epoch == epochs and each.severity != "pass":
            layer = f"{each.layer}: " if each.layer else ""
            yield LogEntry(
                None,
                "finding",
                f"step {each.step} {each.check}: {layer}{each.message}",
                worker,
                each.severity,
            )
