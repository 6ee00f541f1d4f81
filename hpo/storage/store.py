"""Writes: a trial's life from its first instant to its outcome.

Every method is one transaction that begins at the fence: it raises ``LeaseLostError``, and writes nothing, if
the worker lost its slot; ``StorageError`` if the database is unusable. Every method may be repeated: a worker
that does not know whether its write went through makes it again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from functools import cache
from types import MappingProxyType, TracebackType
from typing import Any, TypeVar

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, Insert, String, Table, cast, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from hpo import provenance
from hpo.records import (
    Decision,
    EpochResult,
    Finding,
    LayerStatistics,
    Outcome,
    Rung,
    Runtime,
)
from hpo.redact import redact
from hpo.storage import attempts, rungs, schema
from hpo.storage.column_types import utc_now
from hpo.storage.engine import open_engine, read, write
from hpo.storage.fence import Lease, pass_fence, slot_is, state_under
from hpo.storage.notify import notify_idle_workers
from hpo.storage.optuna.storage import optuna_within
from hpo.storage.record_columns import row_of
from hpo.storage.retry import PATIENCE, RetryPolicy
from hpo.storage.tables import (
    EPOCHS,
    FINDINGS,
    LAYERS,
    TRIALS,
    Base,
    SlotRow,
    StatisticsRow,
    TrialRow,
)

T = TypeVar("T")

_TOLD = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


class OthersBeganError(Exception):
    """Trials began of which a draw did not know."""


class ResultsStore:
    """The results database, opened for writing; upgraded first if it is new or old."""

    def __init__(self, url: str, patience: RetryPolicy = PATIENCE) -> None:
        schema.upgrade(url)
        self.url = url
        self.engine = open_engine(url)
        self._patience = patience

    def write(self, work: Callable[[Connection], T], patience: RetryPolicy | None = None) -> T:
        """Run ``work`` in one write transaction, again while the database is away; what it returns."""
        return write(self.engine, work, patience or self._patience)

    def read(self, work: Callable[[Connection], T], patience: RetryPolicy | None = None) -> T:
        """The same for reading."""
        return read(self.engine, work, patience or self._patience)

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def __enter__(self) -> ResultsStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def begin_trial(
        self,
        hold: Lease,
        *,
        params: Mapping[str, Any],
        distributions: Mapping[str, BaseDistribution],
        configuration: Mapping[str, Any],
        device: str,
        attributes: Mapping[str, Any] = MappingProxyType({}),
        begun: int | None = None,
    ) -> tuple[int, int]:
        """The slot's trial as (trial_id, number): the one it has, or a new one, RUNNING for Optuna.

        ``attributes`` are for Optuna's samplers. Raises ``OthersBeganError`` if not ``begun`` trials of the
        stage had begun before.
        """

        def work(connection: Connection) -> tuple[int, int]:
            pass_fence(connection, hold)
            trial_id = connection.scalar(select(SlotRow.trial_id).where(slot_is(hold)))
            if trial_id is None:
                template = _template(hold, params, distributions, attributes)
                with optuna_within(connection) as optuna:
                    trial_id = optuna.create_new_trial(hold.study_id, template)
                # Now that Optuna has locked the study: no trial begins before this one has.
                if begun is not None and _begun(connection, hold) != begun:
                    raise OthersBeganError
                _insert_trial(connection, hold, trial_id, configuration, device)
            number = connection.scalar(select(TRIALS.c.number).where(TRIALS.c.trial_id == trial_id))
            assert number is not None
            return trial_id, number

        return self.write(work)

    def trial_of(self, hold: Lease) -> tuple[int, int, dict[str, Any]] | None:
        """The slot's trial as (trial_id, number, configuration), if it has begun."""
        trial = (
            select(TrialRow.trial_id, TRIALS.c.number, TrialRow.configuration)
            .join(SlotRow, SlotRow.trial_id == TrialRow.trial_id)
            .join(TRIALS, TRIALS.c.trial_id == TrialRow.trial_id)
            .where(slot_is(hold))
        )
        row = self.read(lambda connection: connection.execute(trial).one_or_none())
        return None if row is None else (row.trial_id, row.number, row.configuration)

    def begin_attempt(
        self,
        hold: Lease,
        trial_id: int,
        *,
        device: str,
        from_epoch: int,
        surroundings: Runtime = Runtime(),  # noqa: B008 (frozen)
    ) -> int:
        """Note that this worker trains the trial from ``from_epoch`` on; the attempt's number, from 1."""
        # Before the transaction: the first time it takes seconds, and others would wait for the lock.
        provenance.running_code()
        provenance.running_packages()
        begun: int | None = None

        def work(connection: Connection) -> int:
            nonlocal begun
            pass_fence(connection, hold)
            # An earlier try may have begun it without hearing of it. It counts as nobody's death.
            if begun is not None and attempts.is_open(connection, trial_id, begun):
                return begun
            connection.execute(
                update(TrialRow)
                .where(TrialRow.trial_id == trial_id)
                .values(worker=hold.worker, device=device)
            )
            begun = attempts.begin(connection, trial_id, hold.worker, device, from_epoch, surroundings)
            return begun

        return self.write(work)

    def keep_output(
        self, trial_id: int, attempt: int, text: str, patience: RetryPolicy | None = None
    ) -> None:
        """Store what the process printed in an attempt, also in one that has ended."""
        self.write(lambda connection: attempts.keep_output(connection, trial_id, attempt, text), patience)

    def deaths_in_a_row(self, trial_id: int) -> tuple[int, int]:
        """How many workers died or hung in the furthest epoch that the trial came to; and that, from 1."""
        return self.read(lambda connection: attempts.deaths_in_a_row(connection, trial_id))

    def rewind(self, hold: Lease, trial_id: int, *, epoch: int, step: int) -> int:
        """The open attempt goes on after ``epoch`` whole epochs and ``step`` steps of all (-1: before them).

        What an earlier worker recorded beyond is forgotten: it is trained, and recorded, again. Returns how
        many epochs are recorded: fewer than ``epoch`` if it died between a checkpoint and its record.
        """

        def work(connection: Connection) -> int:
            pass_fence(connection, hold)
            for table, beyond in (
                (EPOCHS, EPOCHS.c.epoch > epoch),
                (LAYERS, LAYERS.c.step >= step),
                (FINDINGS, FINDINGS.c.step > step),
            ):
                connection.execute(delete(table).where(table.c.trial_id == trial_id, beyond))
            attempts.goes_on_from(connection, trial_id, epoch)
            last = select(func.max(EPOCHS.c.epoch)).where(EPOCHS.c.trial_id == trial_id)
            recorded = connection.scalar(last) or 0
            connection.execute(update(SlotRow).where(slot_is(hold)).values(epoch=recorded))
            return recorded

        return self.write(work)

    def record_statistics(self, hold: Lease, trial_id: int, fingerprint: str, state: bytes) -> None:
        """Store what the trial's preprocessing learned, once for all trials of the study that share it."""

        def work(connection: Connection) -> None:
            pass_fence(connection, hold)
            key = {"study_id": hold.study_id, "hash": fingerprint}
            known = select(StatisticsRow.hash).filter_by(**key)
            if connection.scalar(known) is None:
                _upsert(connection, StatisticsRow, tuple(key), [key | {"state": state}])
            trial = update(TrialRow).where(TrialRow.trial_id == trial_id)
            connection.execute(trial.values(statistics_hash=fingerprint))

        self.write(work)

    def record_epoch(self, hold: Lease, trial_id: int, record: EpochResult) -> None:
        """Add a point to the curves, ours and Optuna's."""

        def work(connection: Connection) -> None:
            pass_fence(connection, hold, epoch=record.epoch)
            with optuna_within(connection) as optuna:
                if _is_running(connection, trial_id):
                    optuna.set_trial_intermediate_value(trial_id, record.epoch, record.val_accuracy)
            row = {"trial_id": trial_id, **row_of(record)}
            _upsert(connection, EPOCHS, ("trial_id", "epoch"), [row], now="ended_at")

        self.write(work)

    def record_findings(self, hold: Lease, trial_id: int, records: Sequence[Finding]) -> None:
        """Store what checks found."""
        rows = [{"trial_id": trial_id, **row_of(record)} for record in records]
        self._record(hold, FINDINGS, ("trial_id", "check_name", "step", "layer"), rows)

    def record_layers(self, hold: Lease, trial_id: int, records: Sequence[LayerStatistics]) -> None:
        """Store layer statistics."""
        rows = [{"trial_id": trial_id, **row_of(record)} for record in records]
        self._record(hold, LAYERS, ("trial_id", "step", "position"), rows)

    def judge(self, hold: Lease, trial_id: int, rung: Rung, judge: rungs.Judge) -> Decision:
        """Decide what becomes of the trial at a rung, by all that have come there, and store it."""

        def work(connection: Connection) -> Decision:
            pass_fence(connection, hold)
            notify_idle_workers(connection)  # a paused trial may be among the best of its rung now
            return rungs.decide(connection, hold, trial_id, rung, judge)

        return self.write(work)

    def pause_trial(self, hold: Lease, trial_id: int, outcome: Outcome) -> None:
        """End the attempt and give the slot back, until the trial is let on or ended with ``outcome``."""

        def work(connection: Connection) -> None:
            if state_under(connection, hold) == "paused":
                return
            pass_fence(connection, hold)
            attempts.end(connection, trial_id, "paused")
            trial = update(TrialRow).where(TrialRow.trial_id == trial_id)
            connection.execute(trial.values(**_fields(outcome), **curve_sums(connection, trial_id)))
            pass_fence(connection, hold, state="paused", worker=None, lease_until=None)
            notify_idle_workers(connection)

        self.write(work)

    def finish_trial(self, hold: Lease, trial_id: int, outcome: Outcome) -> None:
        """End the trial, its attempt and its slot, and tell Optuna."""

        def work(connection: Connection) -> None:
            if state_under(connection, hold) == "done":
                return
            pass_fence(connection, hold)
            tell_optuna(connection, trial_id, outcome)
            set_outcome(connection, trial_id, outcome)
            attempts.end(connection, trial_id, outcome.state)
            pass_fence(connection, hold, state="done", worker=None, lease_until=None)
            notify_idle_workers(connection)

        self.write(work)

    def _record(self, hold: Lease, table: Table, key: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
        def work(connection: Connection) -> None:
            pass_fence(connection, hold)
            _upsert(connection, table, key, rows)

        if rows:
            self.write(work)


def _begun(connection: Connection, hold: Lease) -> int:
    """How many trials of the stage were begun."""
    of_stage = (TrialRow.study_id == hold.study_id, TrialRow.stage == hold.stage)
    return connection.execute(select(func.count()).where(*of_stage)).scalar_one()


def _template(
    hold: Lease,
    params: Mapping[str, Any],
    distributions: Mapping[str, BaseDistribution],
    attributes: Mapping[str, Any],
) -> FrozenTrial:
    return FrozenTrial(
        number=-1,
        trial_id=-1,
        state=TrialState.RUNNING,
        value=None,
        datetime_start=datetime.now(),
        datetime_complete=None,
        params=dict(params),
        distributions=dict(distributions),
        user_attrs={"stage": hold.stage, "slot": hold.slot},
        system_attrs=dict(attributes),
        intermediate_values={},
    )


def _insert_trial(
    connection: Connection, hold: Lease, trial_id: int, configuration: Mapping[str, Any], device: str
) -> None:
    if connection.dialect.name == "sqlite":
        # It gives the ids of deleted trials out again; what hangs on such an id is not this trial's.
        connection.execute(delete(TrialRow).where(TrialRow.trial_id == trial_id))
    connection.execute(
        insert(TrialRow).values(
            trial_id=trial_id,
            study_id=hold.study_id,
            stage=hold.stage,
            slot=hold.slot,
            configuration=dict(configuration),
            worker=hold.worker,
            device=device,
            started_at=utc_now(),
        )
    )
    connection.execute(update(SlotRow).where(slot_is(hold)).values(trial_id=trial_id))


def _is_running(connection: Connection, trial_id: int) -> bool:
    """Whether Optuna still takes writes: a person may have ended the trial with Optuna's tools."""
    state = select(cast(TRIALS.c.state, String)).where(TRIALS.c.trial_id == trial_id).with_for_update()
    return connection.scalar(state) == TrialState.RUNNING.name


def tell_optuna(connection: Connection, trial_id: int, outcome: Outcome) -> None:
    """End the trial for Optuna too, unless it has ended there."""
    if not _is_running(connection, trial_id):
        return
    # Short ones only, which the dashboard shows; before the state, since Optuna freezes a finished trial.
    attributes = {
        "verdict": outcome.verdict,
        "cause": outcome.cause,
        "remedy": outcome.remedy,
        "best_epoch": outcome.best_epoch,
    }
    has_value = outcome.state != "failed" and outcome.value is not None and math.isfinite(outcome.value)
    with optuna_within(connection) as optuna:
        for name, value in attributes.items():
            if value is not None:
                said = redact(value) if isinstance(value, str) else value
                optuna.set_trial_user_attr(trial_id, name, said)
        values = [outcome.value] if has_value and outcome.value is not None else None
        optuna.set_trial_state_values(trial_id, _TOLD[outcome.state], values)


def set_outcome(connection: Connection, trial_id: int, outcome: Outcome) -> None:
    """Store how the trial ended, and the sums of its curve."""
    connection.execute(
        update(TrialRow)
        .where(TrialRow.trial_id == trial_id)
        .values(
            **_fields(outcome),
            **curve_sums(connection, trial_id),
            outcome=outcome.state,
            ended_at=utc_now(),
        )
    )


def _fields(outcome: Outcome) -> dict[str, Any]:
    return {name: value for name, value in asdict(outcome).items() if name != "state"}


def curve_sums(connection: Connection, trial_id: int) -> dict[str, Any]:
    """The trial's columns that sum its curve up, so that they count what earlier workers did for it too."""
    curve = select(
        func.count(),
        func.coalesce(func.sum(EPOCHS.c.seconds), 0.0),
        func.coalesce(func.sum(EPOCHS.c.images), 0),
    ).where(EPOCHS.c.trial_id == trial_id)
    epochs, seconds, images = connection.execute(curve).one()
    rate = images / seconds if seconds else None
    return {"epochs": epochs, "seconds": seconds, "images": images, "images_per_second": rate}


def _upsert(
    connection: Connection,
    table: Table | type[Base],
    key: tuple[str, ...],
    rows: list[dict[str, Any]],
    now: str | None = None,
) -> None:
    """Insert the rows, or overwrite those of the same key, all at once; the column ``now`` gets the time."""
    statement = _upsert_statement(connection.dialect.name, table, key, tuple(rows[0]), now)
    connection.execute(statement, rows)


@cache
def _upsert_statement(
    dialect: str, table: Table | type[Base], key: tuple[str, ...], columns: tuple[str, ...], now: str | None
) -> Insert:
    """Built once: that takes longer than to run it."""
    make = postgresql.insert if dialect == "postgresql" else sqlite.insert
    statement = make(table).values({now: utc_now()} if now else {})
    changed = [*columns, now] if now else columns
    return statement.on_conflict_do_update(
        index_elements=key, set_={name: statement.excluded[name] for name in changed if name not in key}
    )
