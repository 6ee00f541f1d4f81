"""Consistency checks of a database, and repairs that lose nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeAlias

from sqlalchemy import Connection, inspect, select, text

from hpo.maintenance import repairs
from hpo.storage.column_types import epoch_now
from hpo.storage.engine import reading, write
from hpo.storage.identity import life_of
from hpo.storage.notify import notify_idle_workers
from hpo.storage.store import ResultsStore
from hpo.storage.studies import results_engine
from hpo.storage.tables import StatisticsRow, StudyRow
from hpo.storage.views import VIEWS

Row: TypeAlias = Mapping[str, Any]
Find: TypeAlias = Callable[[Connection], Sequence[Row]]

_SQL = Path(__file__).parent / "sql"


@dataclass(frozen=True)
class Check:
    """One kind of damage to a database. ``message`` may refer to a row's columns."""

    message: str
    find: Find
    repair: repairs.Repair | None = None
    remedy: str = ""
    """What the repair does, or what the user can do if there is none."""
    only_a_note: bool = False
    """Unusual, but not damage."""


@dataclass(frozen=True)
class Damage:
    """What a check found in one place."""

    check: str
    study: str | None
    number: int | None
    message: str
    remedy: str
    repairable: bool
    only_a_note: bool
    repaired: bool = False


def check_database(url: str, *, repair: bool = False) -> list[Damage]:
    """Return all damage in the database; with ``repair`` repair what can be, and mark it as repaired.

    Without ``repair`` nothing is written. Raises ``StorageError`` if hpo has not used the database or it is
    unusable.
    """
    if not repair:
        engine = results_engine(url)
        try:
            with reading(engine) as connection:
                return [damage for name in CHECKS for damage in _found(name, connection)]
        finally:
            engine.dispose()
    with ResultsStore(url) as store:
        return [damage for name in CHECKS for damage in write(store.engine, partial(_repaired, name))]


def _found(name: str, connection: Connection) -> list[Damage]:
    check = CHECKS[name]
    return [_damage(name, check, row) for row in check.find(connection)]


def _repaired(name: str, connection: Connection) -> list[Damage]:
    check = CHECKS[name]
    rows = check.find(connection)
    before = [_damage(name, check, row) for row in rows]
    if check.repair is None or not rows:
        return before
    check.repair(connection, rows)
    notify_idle_workers(connection)
    # By place, not by message, which may contain an elapsed time.
    left = {(damage.study, damage.number) for damage in _found(name, connection)}
    return [replace(each, repaired=(each.study, each.number) not in left) for each in before]


def _damage(name: str, check: Check, row: Row) -> Damage:
    return Damage(
        check=name,
        study=row.get("study"),
        number=row.get("number"),
        message=check.message.format(**row),
        remedy=check.remedy,
        repairable=check.repair is not None,
        only_a_note=check.only_a_note,
    )


@cache
def _statement(name: str) -> str:
    return (_SQL / f"{name}.sql").read_text(encoding="utf-8")


def _by_sql(name: str) -> Find:
    def find(connection: Connection) -> Sequence[Row]:
        return [dict(row._mapping) for row in connection.execute(text(_statement(name)))]

    return find


def _integrity(connection: Connection) -> Sequence[Row]:
    """Run SQLite's own check of the file; PostgreSQL's `pg_amcheck` needs rights on the server."""
    if connection.dialect.name != "sqlite":
        return []
    report = connection.exec_driver_sql("PRAGMA integrity_check").scalars().all()
    return [{"detail": line} for line in report if line != "ok"]


def _dangling(connection: Connection) -> Sequence[Row]:
    """Find rows that refer to a missing row; PostgreSQL does not allow any."""
    if connection.dialect.name != "sqlite":
        return []
    found = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    return [
        {"table": table, "rowid": rowid, "detail": parent, "key": key}
        for table, rowid, parent, key in found
        if table.startswith("hpo_")
    ]


def _missing_views(connection: Connection) -> Sequence[Row]:
    there = set(inspect(connection).get_view_names())
    return [{"detail": view} for view in VIEWS if view not in there]


def _dead_leases(connection: Connection) -> Sequence[Row]:
    now = connection.scalar(select(epoch_now())) or 0.0
    found = []
    for row in _by_sql("leases")(connection):
        if life_of(row["worker"]) == "dead":
            found.append({**row, "detail": "which is dead"})
        elif row["lease_until"] < now:
            found.append({**row, "detail": f"whose lease expired {now - row['lease_until']:,.0f} s ago"})
    return found


def _altered_statistics(connection: Connection) -> Sequence[Row]:
    named = select(StudyRow.name, StatisticsRow.hash, StatisticsRow.state).join(
        StudyRow, StudyRow.study_id == StatisticsRow.study_id
    )
    return [
        {"study": row.name, "detail": row.hash[:12]}
        for row in connection.execute(named, execution_options={"yield_per": 1})
        if hashlib.sha256(row.state).hexdigest() != row.hash
    ]


# In the order in which repairs build on each other.
CHECKS: dict[str, Check] = {
    "integrity": Check(
        "SQLite reports that the file is damaged: {detail}", _integrity,
        remedy="restore a backup, or save what can be read with `sqlite3 FILE .recover`",
    ),
    "views": Check(
        "the view {detail} is missing", _missing_views, repairs.recreate_views, "it is created again",
    ),
    "orphaned_studies": Check(
        "Optuna no longer has study {detail}", _by_sql("orphaned_studies"), repairs.delete_orphans,
        "hpo's rows of it are removed",
    ),
    "orphaned_trials": Check(
        "Optuna no longer has the trial of slot {detail}", _by_sql("orphaned_trials"), repairs.delete_orphans,
        "hpo's rows of it are removed, and its slot is free again",
    ),
    "dangling_rows": Check(
        "{table}: a row refers to a missing row of {detail}", _dangling, repairs.drop_dangling,
        "the row is removed",
    ),
    "leases": Check(
        "slot {slot} is held by {worker}, {detail}", _dead_leases, repairs.release_slots,
        "the slot is released; the next worker resumes the trial",
    ),
    "disagreements": Check(
        "its state is {state} in Optuna and {detail} in hpo", _by_sql("disagreements"), repairs.follow_optuna,
        "hpo takes over Optuna's state, since Optuna does not change an ended trial",
    ),
    "slots": Check(
        "slot {slot} is {detail}, its trial {outcome}", _by_sql("slots"), repairs.fit_slots,
        "the slot takes over the state of its trial; without one it waits to be trained",
    ),
    "unplanned": Check(
        "it has no slot {detail}", _by_sql("unplanned"), repairs.add_slots, "the slot is added",
    ),
    "open_attempts": Check(
        "attempt {attempt} of {detail} never ended", _by_sql("open_attempts"), repairs.end_attempts,
        "it is marked as lost",
    ),
    "untold": Check(
        "it ended as {detail}, but not in Optuna", _by_sql("untold"), repairs.end_in_optuna,
        "it is ended in Optuna too",
    ),
    "told_twice": Check(
        "attempts that ended it: {detail}", _by_sql("told_twice"),
        remedy="`hpo repeat` shows whether its configuration reproduces the stored result",
    ),
    "sums": Check(
        "its number of epochs is {detail}, but its curve has {epochs}", _by_sql("sums"), repairs.sum_again,
        "the sums are computed again from the curve",
    ),
    "curve_holes": Check(
        "epochs missing in its curve: {detail}", _by_sql("curve_holes"),
        remedy="`hpo repeat` shows the whole curve; the stored one stays as it is",
    ),
    "numbers": Check(
        "trials with this number: {detail}", _by_sql("numbers"),
        remedy="Optuna created both; the study cannot be exported",
    ),
    "statistics": Check(
        "its preprocessing statistics are not stored", _by_sql("statistics"),
        remedy="its network cannot be used on new images; train it again in another study",
    ),
    "altered_statistics": Check(
        "the preprocessing statistics {detail} have changed since they were stored", _altered_statistics,
        remedy="restore a backup",
    ),
    "foreign_trials": Check(
        "hpo did not create it ({detail})", _by_sql("foreign_trials"), only_a_note=True,
        remedy="hpo ignores it; it does not count as one of the study's planned trials",
    ),
}  # fmt: skip
