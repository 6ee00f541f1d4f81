"""Writing the results database: a trial from its start to its outcome.

Each method runs one transaction, which first checks the lease: it raises ``LeaseLostError`` and writes
nothing if the worker has lost its slot, and ``StorageError`` if the database is unusable. Every method may be
repeated: a worker that does not know whether its write was committed sends it again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType, TracebackType
from typing import Any, TypeVar

from optuna.distributions import BaseDistribution
from sqlalchemy import Connection, Table, bindparam, delete, func, insert, select, update

from hpo import provenance
from hpo.config.objective import ACCURACY, Objective
from hpo.errors import LeaseLostError
from hpo.records import (
    ClassResult,
    Decision,
    EpochResult,
    Finding,
    LayerStatistics,
    Outcome,
    Rung,
    Runtime,
)
from hpo.storage import attempts, rungs, schema
from hpo.storage.column_types import utc_now
from hpo.storage.engine import close_engine, open_engine, read, write
from hpo.storage.fence import SLOT, Lease, pass_fence, slot_key, state_under_lease
from hpo.storage.notify import notify_idle_workers
from hpo.storage.optuna.trials import create_in_optuna, finish_in_optuna, report_to_optuna
from hpo.storage.record_columns import row_of
from hpo.storage.retry import DEFAULT_RETRY, RetryPolicy
from hpo.storage.tables import (
    CLASSES,
    EPOCHS,
    FINDINGS,
    LAYERS,
    TRIALS,
    SlotRow,
    StatisticsRow,
    TrialRow,
)
from hpo.storage.upsert import upsert

T = TypeVar("T")


class OtherTrialsStartedError(Exception):
    """Other trials started after this suggestion was computed."""


class ResultsStore:
    """The results database, opened for writing; a new or an older one is upgraded first.

    Raises ``DatabaseTakenError`` for a new one unless ``create``.
    """

    def __init__(self, url: str, retry: RetryPolicy = DEFAULT_RETRY, *, create: bool = True) -> None:
        schema.upgrade(url, create=create)
        self.url = url
        self.engine = open_engine(url)
        self._retry = retry

    def write(self, work: Callable[[Connection], T], retry: RetryPolicy | None = None) -> T:
        """Run ``work`` in one write transaction, with retries, and return its result."""
        return write(self.engine, work, retry or self._retry)

    def read(self, work: Callable[[Connection], T], retry: RetryPolicy | None = None) -> T:
        """Run ``work`` in one read transaction; otherwise like ``write``."""
        return read(self.engine, work, retry or self._retry)

    def close(self) -> None:
        """Close every connection."""
        close_engine(self.engine)

    def __enter__(self) -> ResultsStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def begin_trial(
        self,
        lease: Lease,
        *,
        params: Mapping[str, Any],
        distributions: Mapping[str, BaseDistribution],
        configuration: Mapping[str, Any],
        device: str,
        attributes: Mapping[str, Any] = MappingProxyType({}),
        begun: int | None = None,
    ) -> tuple[int, int]:
        """Return the slot's trial as (trial_id, number): the existing one, or a new one in state RUNNING.

        ``attributes`` are for Optuna's samplers. Raises ``OtherTrialsStartedError`` if the number of trials
        of the stage that had started is not ``begun``.
        """

        def work(connection: Connection) -> tuple[int, int]:
            trial_id = pass_fence(connection, lease)
            if trial_id is not None:
                number = connection.execute(_NUMBER, {"of_trial": trial_id}).scalar_one()
                return trial_id, number
            trial_id, number = create_in_optuna(connection, lease, params, distributions, attributes)
            # The study is locked by now: no other trial starts before this one.
            if begun is not None and _begun(connection, lease) != begun:
                raise OtherTrialsStartedError
            _insert_trial(connection, lease, trial_id, configuration, device)
            return trial_id, number

        return self.write(work)

    def trial_of(self, lease: Lease) -> tuple[int, int, dict[str, Any]] | None:
        """Return the slot's trial as (trial_id, number, configuration), or None if it has not started."""
        trial = (
            select(TrialRow.trial_id, TRIALS.c.number, TrialRow.configuration)
            .join(SlotRow, SlotRow.trial_id == TrialRow.trial_id)
            .join(TRIALS, TRIALS.c.trial_id == TrialRow.trial_id)
            .where(SLOT)
        )
        row = self.read(lambda connection: connection.execute(trial, slot_key(lease)).one_or_none())
        return None if row is None else (row.trial_id, row.number, row.configuration)

    def begin_attempt(
        self,
        lease: Lease,
        trial_id: int,
        *,
        device: str,
        from_epoch: int,
        runtime: Runtime = Runtime(),  # noqa: B008 (frozen)
    ) -> int:
        """Record that this worker trains the trial from ``from_epoch`` on; return the attempt, from 1."""
        # Before the transaction: the first call takes seconds, and others would wait for the lock.
        provenance.running_code()
        provenance.running_packages()
        begun: int | None = None

        def work(connection: Connection) -> int:
            nonlocal begun
            pass_fence(connection, lease)
            # An earlier try may have committed although this worker got no answer: that is not a lost worker.
            if begun is not None and attempts.is_open(connection, trial_id, begun):
                return begun
            connection.execute(_TRIAL, {"of_trial": trial_id, "worker": lease.worker, "device": device})
            begun = attempts.begin(connection, trial_id, lease.worker, device, from_epoch, runtime)
            return begun

        return self.write(work)

    def store_output(self, trial_id: int, attempt: int, text: str, retry: RetryPolicy | None = None) -> None:
        """Store what the process printed during an attempt, which may have ended."""
        self.write(lambda connection: attempts.store_output(connection, trial_id, attempt, text), retry)

    def deaths_in_a_row(self, trial_id: int) -> attempts.Deaths:
        """Return the workers that died or hung in the trial's furthest epoch."""
        return self.read(lambda connection: attempts.deaths_in_a_row(connection, trial_id))

    def recorded_epochs(self, trial_id: int) -> int:
        """Return how many epochs of the trial are recorded."""
        last = select(func.max(EPOCHS.c.epoch)).where(EPOCHS.c.trial_id == trial_id)
        return self.read(lambda connection: connection.scalar(last) or 0)

    def rewind(self, lease: Lease, trial_id: int, *, epoch: int, step: int) -> int:
        """Let the open attempt resume after ``epoch`` epochs and ``step`` steps in all (-1: before them).

        Deletes what an earlier worker recorded beyond that point, which is trained and recorded again.
        Returns the number of recorded epochs: fewer than ``epoch`` if that worker died between a checkpoint
        and its record.
        """

        def work(connection: Connection) -> int:
            pass_fence(connection, lease)
            for table, beyond in (
                (EPOCHS, EPOCHS.c.epoch > epoch),
                (CLASSES, CLASSES.c.epoch > epoch),
                (LAYERS, LAYERS.c.step >= step),
                (FINDINGS, FINDINGS.c.step > step),
            ):
                connection.execute(delete(table).where(table.c.trial_id == trial_id, beyond))
            attempts.restart_from(connection, trial_id, epoch)
            last = select(func.max(EPOCHS.c.epoch)).where(EPOCHS.c.trial_id == trial_id)
            recorded = connection.scalar(last) or 0
            connection.execute(_SLOT, {**slot_key(lease), "epoch": recorded})
            return recorded

        return self.write(work)

    def record_statistics(self, lease: Lease, trial_id: int, fingerprint: str, state: bytes) -> None:
        """Store the statistics of the trial's preprocessing, once for all trials that share them."""

        def work(connection: Connection) -> None:
            pass_fence(connection, lease)
            key = {"study_id": lease.study_id, "hash": fingerprint}
            known = select(StatisticsRow.hash).filter_by(**key)
            if connection.scalar(known) is None:
                upsert(connection, StatisticsRow, tuple(key), [key | {"state": state}])
            trial = update(TrialRow).where(TrialRow.trial_id == trial_id)
            connection.execute(trial.values(statistics_hash=fingerprint))

        self.write(work)

    def milliseconds_of(self, trial_id: int) -> float | None:
        """Return what a trial takes to classify an image; None if it has not been measured."""
        chosen = select(TrialRow.milliseconds).where(TrialRow.trial_id == trial_id)
        return self.read(lambda connection: connection.scalar(chosen))

    def record_milliseconds(self, lease: Lease, trial_id: int, milliseconds: float) -> None:
        """Store what the trial takes to classify an image: it is measured once."""

        def work(connection: Connection) -> None:
            pass_fence(connection, lease)
            trial = update(TrialRow).where(TrialRow.trial_id == trial_id)
            connection.execute(trial.values(milliseconds=milliseconds))

        self.write(work)

    def record_epoch(
        self,
        lease: Lease,
        trial_id: int,
        record: EpochResult,
        objective: Objective = ACCURACY,
        classes: Sequence[ClassResult] = (),
    ) -> None:
        """Add an epoch to the curves, its objective to Optuna's too; ``classes`` if it is the best so far."""

        def work(connection: Connection) -> None:
            pass_fence(connection, lease, epoch=record.epoch)
            report_to_optuna(connection, trial_id, record.epoch, objective.of(record))
            row = {"trial_id": trial_id, **row_of(record)}
            upsert(connection, EPOCHS, ("trial_id", "epoch"), [row], now="ended_at")
            if classes:
                upsert(connection, CLASSES, ("trial_id", "label"), _class_rows(trial_id, classes))

        self.write(work)

    def record_classes(self, lease: Lease, trial_id: int, records: Sequence[ClassResult]) -> None:
        """Store what was predicted for each class, in place of what is there."""
        self._record(lease, CLASSES, ("trial_id", "label"), _class_rows(trial_id, records))

    def record_findings(self, lease: Lease, trial_id: int, records: Sequence[Finding]) -> None:
        """Store findings of checks."""
        rows = [{"trial_id": trial_id, **row_of(record)} for record in records]
        self._record(lease, FINDINGS, ("trial_id", "check_name", "step", "layer"), rows)

    def record_layers(self, lease: Lease, trial_id: int, records: Sequence[LayerStatistics]) -> None:
        """Store layer statistics."""
        rows = [{"trial_id": trial_id, **row_of(record)} for record in records]
        self._record(lease, LAYERS, ("trial_id", "step", "position"), rows)

    def judge(self, lease: Lease, trial_id: int, rung: Rung, judge: rungs.Judge) -> Decision:
        """Decide at a rung whether the trial continues, by all trials that have reached it, and store it."""

        def work(connection: Connection) -> Decision:
            pass_fence(connection, lease)
            notify_idle_workers(connection)  # a paused trial may now be among the best of its rung
            return rungs.decide(connection, lease, trial_id, rung, judge)

        return self.write(work)

    def pause_trial(self, lease: Lease, trial_id: int, outcome: Outcome) -> None:
        """End the attempt and release the slot until the trial is resumed, or ended with ``outcome``."""

        def work(connection: Connection) -> None:
            if not _end_lease(connection, lease, "paused"):
                return
            attempts.end(connection, trial_id, "paused")
            sums = curve_sums(connection, trial_id)
            connection.execute(_TRIAL, {"of_trial": trial_id, **_fields(outcome), **sums})
            notify_idle_workers(connection)

        self.write(work)

    def finish_trial(self, lease: Lease, trial_id: int, outcome: Outcome) -> None:
        """End the trial, its attempt and its slot, in Optuna too."""

        def work(connection: Connection) -> None:
            if not _end_lease(connection, lease, "done"):
                return
            finish_in_optuna(connection, trial_id, outcome)
            attempts.end(connection, trial_id, outcome.state)  # before its time is summed up
            set_outcome(connection, trial_id, outcome)
            notify_idle_workers(connection)

        self.write(work)

    def _record(self, lease: Lease, table: Table, key: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
        def work(connection: Connection) -> None:
            pass_fence(connection, lease)
            upsert(connection, table, key, rows)

        if rows:
            self.write(work)


def _end_lease(connection: Connection, lease: Lease, state: str) -> bool:
    """Set the slot's last state under this lease, or raise ``LeaseLostError``.

    Returns False if it has that state: an earlier try was committed although the worker got no answer.
    """
    try:
        pass_fence(connection, lease, state=state, worker=None, lease_until=None)
    except LeaseLostError:
        if state_under_lease(connection, lease) == state:
            return False
        raise
    return True


def _begun(connection: Connection, lease: Lease) -> int:
    """Return how many trials of the stage have started."""
    of_stage = {"of_study": lease.study_id, "of_stage": lease.stage}
    return connection.execute(_BEGUN, of_stage).scalar_one()


def _insert_trial(
    connection: Connection, lease: Lease, trial_id: int, configuration: Mapping[str, Any], device: str
) -> None:
    if connection.dialect.name == "sqlite":
        # SQLite reuses the ids of deleted trials; rows that refer to such an id do not belong to this trial.
        connection.execute(_DELETE_TRIAL, {"of_trial": trial_id})
    row = {
        "trial_id": trial_id,
        "study_id": lease.study_id,
        "stage": lease.stage,
        "slot": lease.slot,
        "configuration": dict(configuration),
        "worker": lease.worker,
        "device": device,
    }
    connection.execute(_INSERT_TRIAL, row)
    connection.execute(_SLOT, {**slot_key(lease), "trial_id": trial_id})


def set_outcome(connection: Connection, trial_id: int, outcome: Outcome) -> None:
    """Store how the trial ended, and the sums of its curve."""
    sums = curve_sums(connection, trial_id)
    changes = {"of_trial": trial_id, "outcome": outcome.state, **_fields(outcome), **sums}
    connection.execute(_END_TRIAL, changes)


def _class_rows(trial_id: int, records: Sequence[ClassResult]) -> list[dict[str, Any]]:
    return [{"trial_id": trial_id, **row_of(record)} for record in records]


def _fields(outcome: Outcome) -> dict[str, Any]:
    return {name: value for name, value in asdict(outcome).items() if name != "state"}


def curve_sums(connection: Connection, trial_id: int) -> dict[str, Any]:
    """Return the trial's columns that sum up its curve; the epochs of earlier workers count too.

    The time of a trial without epochs is that of its attempts.
    """
    epochs, seconds, images = connection.execute(_CURVE_SUMS, {"of_trial": trial_id}).one()
    rate = images / seconds if seconds else None
    if not epochs:
        seconds = attempts.seconds(connection, trial_id)
    return {"epochs": epochs, "seconds": seconds, "images": images, "images_per_second": rate}


# Built once, which takes longer than running them. Columns are set by their names.
_NUMBER = select(TRIALS.c.number).where(TRIALS.c.trial_id == bindparam("of_trial"))
_BEGUN = select(func.count()).where(
    TrialRow.study_id == bindparam("of_study"), TrialRow.stage == bindparam("of_stage")
)
_DELETE_TRIAL = delete(TrialRow).where(TrialRow.trial_id == bindparam("of_trial"))
_INSERT_TRIAL = insert(TrialRow).values(started_at=utc_now())
_TRIAL = update(TrialRow).where(TrialRow.trial_id == bindparam("of_trial"))
_END_TRIAL = _TRIAL.values(ended_at=utc_now())
_SLOT = update(SlotRow).where(SLOT)
_CURVE_SUMS = select(
    func.count(),
    func.coalesce(func.sum(EPOCHS.c.seconds), 0.0),
    func.coalesce(func.sum(EPOCHS.c.images), 0),
).where(EPOCHS.c.trial_id == bindparam("of_trial"))
