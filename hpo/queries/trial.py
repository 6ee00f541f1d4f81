"""One trial: its details and its log."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, Select, Table, exists, func, select

from hpo.config.objective import Direction, Objective
from hpo.errors import UserError
from hpo.records import LATER_MEASURES, ClassResult, EpochResult, Finding, LayerStatistics
from hpo.storage.engine import reading
from hpo.storage.record_columns import record_of
from hpo.storage.studies import KNOWN, find_study, searched_names, unknown_trial
from hpo.storage.tables import (
    CLASSES,
    EPOCHS,
    FINDINGS,
    LAYERS,
    TRIALS,
    AttemptRow,
    DecisionRow,
    SlotRow,
    StatisticsRow,
    StudyRow,
    TrialRow,
)


@dataclass(frozen=True)
class Attempt:
    """One worker's attempt at a trial; ``outcome`` is ``None`` while it is open."""

    attempt: int
    worker: str
    device: str
    processor: str | None
    threads: int | None
    precision: str | None
    code_version: str | None
    package_versions: dict[str, str] | None
    started_at: datetime
    ended_at: datetime | None
    from_epoch: int
    to_epoch: int | None
    outcome: str | None
    output: str | None
    """The last lines that the process printed."""


@dataclass(frozen=True)
class TrialDetail:
    """Everything about one trial; ``configuration`` has ``None`` where a hyperparameter does not apply."""

    study: str
    study_uid: str
    number: int
    trial_id: int
    stage: str
    slot: int
    state: str
    value: float | None
    test_value: float | None
    best_epoch: int | None
    verdict: str | None
    cause: str | None
    second_cause: str | None
    confidence: float | None
    remedy: str | None
    remedy_change: dict[str, Any] | None
    error: str | None
    seconds: float | None
    images_per_second: float | None
    parameters: int | None
    milliseconds: float | None
    weights_hash: str | None
    worker: str
    device: str
    started_at: datetime
    ended_at: datetime | None
    configuration: dict[str, Any]
    searched: tuple[str, ...]
    curve: tuple[EpochResult, ...]
    findings: tuple[Finding, ...]
    layers: tuple[LayerStatistics, ...]
    """Every layer at every probed step, in order."""
    attempts: tuple[Attempt, ...]
    classes: tuple[ClassResult, ...] = ()
    """What its best epoch predicts for each class, in their order; empty if unknown."""
    given: dict[str, Any] | None = None
    """Hyperparameters that its slot fixed before it started."""
    is_drawn_around: bool = False
    """Whether they were sampled around the best configurations of the previous stage."""
    objective: str = "val_accuracy"
    direction: Direction = "maximize"

    @property
    def goal(self) -> Objective:
        """What its study optimizes."""
        return Objective(self.objective, self.direction)


def trial_detail(engine: Engine, name: str, number: int) -> TrialDetail:
    """Return all about a trial; raises ``UnknownStudyError``, or ``UserError`` for an unknown number."""
    with reading(engine) as connection:
        study = find_study(connection, name)
        row = connection.execute(_trial(study.study_id, number)).one_or_none()
        if row is None:
            raise unknown_trial(name, number, _last_number(connection, study.study_id))
        of_trial = row.trial_id
        curve = connection.execute(select(EPOCHS).where(EPOCHS.c.trial_id == of_trial).order_by("epoch"))
        findings = connection.execute(select(FINDINGS).where(FINDINGS.c.trial_id == of_trial).order_by("id"))
        layers = connection.execute(
            select(LAYERS).where(LAYERS.c.trial_id == of_trial).order_by("step", "position")
        )
        attempts = connection.execute(
            select(AttemptRow.__table__).where(AttemptRow.trial_id == of_trial).order_by("attempt")
        )
        classes = connection.execute(select(CLASSES).where(CLASSES.c.trial_id == of_trial).order_by("label"))
        return TrialDetail(
            **{
                each.name: getattr(row, each.name) for each in fields(TrialDetail) if each.name in row._fields
            },
            study_uid=study.uid,
            is_drawn_around=_is_drawn_around(connection, row),
            searched=searched_names(study),
            curve=tuple(record_of(EpochResult, row._asdict()) for row in curve),
            findings=tuple(record_of(Finding, row._asdict()) for row in findings),
            layers=tuple(record_of(LayerStatistics, row._asdict()) for row in layers),
            attempts=tuple(_attempt(each) for each in attempts),
            classes=tuple(record_of(ClassResult, row._asdict()) for row in classes),
        )


def trial_place(engine: Engine, trial_id: int) -> tuple[str, int] | None:
    """Return the study and the number of a trial by its id, or None."""
    with reading(engine) as connection:
        found = select(KNOWN.c.study, KNOWN.c.number).where(KNOWN.c.trial_id == trial_id)
        row = connection.execute(found).one_or_none()
    return None if row is None else (row.study, row.number)


def trials_with_layers(engine: Engine, name: str) -> set[int]:
    """Return the numbers of the trials with layer statistics; raises ``UnknownStudyError``."""
    return _trials_with(engine, name, LAYERS)


def trials_with_classes(engine: Engine, name: str) -> set[int]:
    """Return the numbers of the trials with results by class; raises ``UnknownStudyError``."""
    return _trials_with(engine, name, CLASSES)


def lowest_recalls(engine: Engine, name: str, numbers: Collection[int]) -> dict[int, ClassResult]:
    """Return, of each of these trials that has results by class, the class with the lowest recall."""
    found: dict[int, ClassResult] = {}
    with reading(engine) as connection:
        study = find_study(connection, name)
        rows = (
            select(CLASSES, KNOWN.c.number)
            .join(KNOWN, KNOWN.c.trial_id == CLASSES.c.trial_id)
            .join(TrialRow, TrialRow.trial_id == KNOWN.c.trial_id)
            .where(TrialRow.study_id == study.study_id, KNOWN.c.number.in_(numbers), CLASSES.c.images > 0)
            .order_by("label")
        )
        for row in connection.execute(rows):
            each = record_of(ClassResult, row._asdict())
            if row.number not in found or each.recall < found[row.number].recall:
                found[row.number] = each
    return found


def _trials_with(engine: Engine, name: str, table: Table) -> set[int]:
    with reading(engine) as connection:
        study = find_study(connection, name)
        looked_at = exists().where(table.c.trial_id == TrialRow.trial_id)
        numbers = (
            select(KNOWN.c.number)
            .join(TrialRow, TrialRow.trial_id == KNOWN.c.trial_id)
            .where(TrialRow.study_id == study.study_id, looked_at)
        )
        return set(connection.scalars(numbers))


def preprocessing_state(engine: Engine, name: str, number: int) -> bytes:
    """Return what a trial's preprocessing learned, in safetensors format, for ``Preprocessor.from_state``.

    Raises ``UnknownStudyError``, or ``UserError`` if the trial has not got that far.
    """
    with reading(engine) as connection:
        study = find_study(connection, name)
        trial = select(TRIALS.c.trial_id).filter_by(study_id=study.study_id, number=number)
        state = connection.scalar(
            select(StatisticsRow.state)
            .join(TrialRow, StatisticsRow.hash == TrialRow.statistics_hash)
            .where(TrialRow.trial_id.in_(trial), StatisticsRow.study_id == study.study_id)
        )
        if state is None and connection.scalar(trial) is None:
            raise unknown_trial(name, number, _last_number(connection, study.study_id))
        if state is None:
            raise UserError(f"trial {number} of study {name} has no preprocessing statistics yet")
        return state


def _trial(study_id: int, number: int) -> Select[Any]:
    return (
        select(
            *(TrialRow.__table__, KNOWN.c.study, KNOWN.c.number, KNOWN.c.state, SlotRow.given),
            *(StudyRow.objective, StudyRow.direction),
        )
        .join(KNOWN, KNOWN.c.trial_id == TrialRow.trial_id)
        .join(StudyRow, StudyRow.study_id == TrialRow.study_id)
        .outerjoin(SlotRow, SlotRow.trial_id == TrialRow.trial_id)
        .where(TrialRow.study_id == study_id, KNOWN.c.number == number)
    )


def _is_drawn_around(connection: Connection, trial: Row[Any]) -> bool:
    """Return whether its stage samples around others; the slots that carry configurations come first."""
    decisions = select(DecisionRow.action, DecisionRow.evidence).where(
        DecisionRow.study_id == trial.study_id, DecisionRow.stage == trial.stage
    )
    found = {row.action: row.evidence for row in connection.execute(decisions)}
    return "around" in found and trial.slot >= len(found.get("carry", {}).get("trials", ()))


def _last_number(connection: Connection, study_id: int) -> int | None:
    last: int | None = connection.scalar(
        select(func.max(TRIALS.c.number)).where(TRIALS.c.study_id == study_id)
    )
    return last


def _attempt(row: Row[Any]) -> Attempt:
    return Attempt(**{each.name: row._mapping[each.name] for each in fields(Attempt)})


@dataclass(frozen=True)
class LogEntry:
    """One event of a trial; ``time`` (UTC) is None where only the order is known."""

    time: datetime | None
    kind: str
    """begun, printed, finding, epoch, ended, verdict or error."""
    text: str
    worker: str
    severity: str = ""
    """Of a finding."""


def trial_log(engine: Engine, study: str, number: int) -> list[LogEntry]:
    """Return everything that is stored about the course of a trial.

    Raises ``UnknownStudyError``, or ``UserError`` for an unknown number.
    """
    trial = trial_detail(engine, study, number)
    of_trial = select(EPOCHS.c.epoch, EPOCHS.c.ended_at).where(EPOCHS.c.trial_id == trial.trial_id)
    with reading(engine) as connection:
        ends = {row.epoch: row.ended_at for row in connection.execute(of_trial)}
    return list(_entries(trial, ends))


def _entries(trial: TrialDetail, ends: dict[int, datetime]) -> Iterator[LogEntry]:
    trained = _trained(trial, ends)
    for attempt in trial.attempts:
        yield LogEntry(attempt.started_at, "begun", _begun(attempt), attempt.worker)
        yield from _epochs(trial, ends, trained[attempt.attempt], attempt.worker)
        if attempt.output:
            yield LogEntry(None, "printed", attempt.output, attempt.worker)
        if attempt.outcome:
            said = f"attempt {attempt.attempt} {attempt.outcome} after epoch {attempt.to_epoch or 0}"
            yield LogEntry(attempt.ended_at, "ended", said, attempt.worker)
    # The trial and its last attempt end in one transaction, a moment apart.
    ends_at = [trial.ended_at, *(each.ended_at for each in trial.attempts)]
    over = max((each for each in ends_at if each is not None), default=None)
    if trial.verdict:
        yield LogEntry(over, "verdict", f"{trial.state}: {trial.verdict}", trial.worker)
    if trial.error:
        yield LogEntry(over, "error", trial.error.strip(), trial.worker)


def _begun(attempt: Attempt) -> str:
    on = attempt.device if attempt.precision is None else f"{attempt.device}, {attempt.precision}"
    where = f"resumes after epoch {attempt.from_epoch}" if attempt.from_epoch else "starts"
    return f"attempt {attempt.attempt} {where} on {on}"


def _trained(trial: TrialDetail, ends: dict[int, datetime]) -> dict[int, list[int]]:
    """Return by attempt the epochs that it recorded; 0 is what was recorded before the first epoch.

    An attempt may train again what an earlier one had recorded: its epochs replace those.
    """
    trained: dict[int, list[int]] = {each.attempt: [] for each in trial.attempts}
    for epoch in sorted(ends):
        begun = [each for each in trial.attempts if each.started_at <= ends[epoch]]
        trained[(begun or trial.attempts)[-1].attempt].append(epoch)
    first = next((each for each in trial.attempts if trained[each.attempt]), None)
    for each in [first or trial.attempts[-1]] if trial.attempts else []:
        trained[each.attempt].insert(0, 0)
    return trained


def _epochs(
    trial: TrialDetail, ends: dict[int, datetime], trained: list[int], worker: str
) -> Iterator[LogEntry]:
    if 0 in trained:
        yield from _findings(trial, 0, worker)
    for record in trial.curve:
        if record.epoch not in trained:
            continue
        said = f"epoch {record.epoch}: {_metrics(record, trial.objective)}{record.seconds:.1f} s"
        yield LogEntry(ends.get(record.epoch), "epoch", said, worker)
        yield from _findings(trial, record.epoch, worker)


def _metrics(record: EpochResult, objective: str) -> str:
    """Return what was reported, each number with a comma behind it."""
    own = (objective,) if objective in LATER_MEASURES else ()
    names = tuple(dict.fromkeys((*own, "val_accuracy", "val_loss", "train_loss", *record.metrics)))
    values = {name: record.metric(name) for name in names}
    texts = {
        name: f"{value:.4f}" if name == "val_accuracy" else f"{value:.4g}" for name, value in values.items()
    }
    shown = [name for name in names if record.images or not math.isnan(values[name])]
    return "".join(f"{name} {texts[name]}, " for name in shown)


def _findings(trial: TrialDetail, epochs: int, worker: str) -> Iterator[LogEntry]:
    """Yield the findings recorded after this number of epochs."""
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
