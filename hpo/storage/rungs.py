"""Rungs in the database: a trial's rank among those it is compared with, and the decision."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from sqlalchemy import Connection, TextClause, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from hpo.records import Decision, Paused, Rung, RungRank
from hpo.storage.fence import Lease
from hpo.storage.tables import RungRow

CHECK = "early_stopping"
"""The name of a trial's findings that are decisions at rungs."""
Judge: TypeAlias = Callable[[RungRank], Decision]


def _statement(name: str) -> TextClause:
    return text((Path(__file__).parent / "sql" / name).read_text(encoding="utf-8"))


_STANDING = _statement("standing.sql")
_BEST_PAUSED = _statement("best_paused.sql")


def decide(connection: Connection, lease: Lease, trial_id: int, rung: Rung, judge: Judge) -> Decision:
    """Decide at the rung whether the trial continues, by all trials that have reached it, and store it.

    A decision to continue is final: a worker killed right after it asks again.
    """
    known = select(RungRow.decision, RungRow.reason).where(
        RungRow.trial_id == trial_id, RungRow.epoch == rung.epoch
    )
    before = connection.execute(known).one_or_none()
    if before is not None and before.decision == "goes_on":
        return Decision("goes_on", before.reason)
    at = _standing(connection, lease, trial_id, rung)
    decision = judge(at)
    _store(connection, lease, trial_id, rung, at, decision)
    return decision


def best_paused(connection: Connection, study_id: int, stage: str) -> list[Paused]:
    """Return the best of the trials that are paused at each rung, the latest rung first."""
    rows = connection.execute(_BEST_PAUSED, {"study_id": study_id, "stage": stage})
    return [Paused(row.epoch, row.rank, row.compared, row.slot, row.trial_id) for row in rows]


def stopped(connection: Connection, study_id: int) -> dict[int, tuple[int, float]]:
    """Return the epoch and the score of each trial stopped at a rung, by the trial's id."""
    rows = select(RungRow.trial_id, RungRow.epoch, RungRow.score).where(
        RungRow.study_id == study_id, RungRow.decision == "stopped"
    )
    return {row.trial_id: (row.epoch, row.score) for row in connection.execute(rows)}


def redecide(connection: Connection, paused: Paused, decision: Decision) -> None:
    """Replace the decision on a trial that is paused at a rung."""
    connection.execute(
        update(RungRow)
        .where(RungRow.trial_id == paused.trial_id, RungRow.epoch == paused.epoch)
        .values(rank=paused.rank, compared=paused.of, decision=decision.action, reason=decision.reason)
    )


def _standing(connection: Connection, lease: Lease, trial_id: int, rung: Rung) -> RungRank:
    key = {"study_id": lease.study_id, "stage": lease.stage, "bracket": rung.bracket, "epochs": rung.epochs}
    this = {"epoch": rung.epoch, "score": rung.score, "trial_id": trial_id}
    others = connection.execute(_STANDING, {**key, **this}).one()
    return RungRank(rung.epoch, rank=others.ahead + 1, of=others.compared + 1)


def _store(
    connection: Connection, lease: Lease, trial_id: int, rung: Rung, at: RungRank, decision: Decision
) -> None:
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    decided = {
        "score": rung.score,
        "rank": at.rank,
        "compared": at.of,
        "decision": decision.action,
        "reason": decision.reason,
    }
    statement = make(RungRow).values(
        trial_id=trial_id,
        epoch=rung.epoch,
        study_id=lease.study_id,
        stage=lease.stage,
        bracket=rung.bracket,
        epochs=rung.epochs,
        **decided,
    )
    connection.execute(statement.on_conflict_do_update(index_elements=("trial_id", "epoch"), set_=decided))
