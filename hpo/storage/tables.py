"""The tables: those of hpo, and the columns of Optuna that hpo reads."""

from __future__ import annotations

from datetime import datetime
from typing import Any, get_args

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from hpo.records import (
    SEVERITIES,
    ClassResult,
    EpochResult,
    Finding,
    LayerStatistics,
    StudyFinding,
    StudySeverity,
)
from hpo.storage.column_types import NAME_LENGTH, Document, Finite, Prose, one_of
from hpo.storage.record_columns import columns_of


def declare(metadata: MetaData) -> tuple[Table, Table]:
    """Declare Optuna's ``studies`` and ``trials`` in this metadata, for our foreign keys."""
    studies = Table(
        "studies",
        metadata,
        Column("study_id", Integer, primary_key=True),
        Column("study_name", String(512), nullable=False),
    )
    trials = Table(
        "trials",
        metadata,
        Column("trial_id", Integer, primary_key=True),
        Column("number", Integer),
        Column("study_id", Integer),
        # An enum type in PostgreSQL: compare `cast(trials.c.state, String)`.
        Column("state", String(8), nullable=False),
        Column("datetime_start", DateTime),
        Column("datetime_complete", DateTime),
    )
    return studies, trials


SLOT_STATES = ("waiting", "running", "paused", "done")
OUTCOMES = ("complete", "pruned", "failed")
ATTEMPT_OUTCOMES = (*OUTCOMES, "released", "lost", "hung", "paused")
STAGE_KINDS = ("search", "confirm", "test")
RUNG_DECISIONS = ("goes_on", "stopped", "paused")


class Base(DeclarativeBase):
    type_annotation_map = {  # noqa: RUF012 (SQLAlchemy reads it so)
        float: Finite(),
        str: Text(),
    }


STUDIES, TRIALS = declare(Base.metadata)


class StudyRow(Base):
    """A study's specification, and the code and data it runs with."""

    __tablename__ = "hpo_study"

    study_id: Mapped[int] = mapped_column(
        ForeignKey("studies.study_id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    name: Mapped[str] = mapped_column(String(NAME_LENGTH), unique=True)
    uid: Mapped[str] = mapped_column(String(32))
    """Also a user attribute of Optuna's study; a later study with the same id and name has another."""
    spec: Mapped[dict[str, Any]] = mapped_column(JSON)
    seed: Mapped[int] = mapped_column(BigInteger)
    code_version: Mapped[str]
    package_versions: Mapped[dict[str, Any]] = mapped_column(JSON)
    dataset: Mapped[str]
    dataset_fingerprint: Mapped[str]
    dataset_origin: Mapped[str]
    classes: Mapped[int | None]
    train_images: Mapped[int | None]
    """Of the data set, before validation images are held out."""
    class_counts: Mapped[list[int] | None] = mapped_column(JSON(none_as_null=True))
    """How many of these each class has."""
    image_height: Mapped[int | None]
    """Of every image as it is trained on; like the next three, NULL for the user's own training."""
    image_width: Mapped[int | None]
    image_channels: Mapped[int | None]
    """3 for color, 1 for gray."""
    image_resize: Mapped[str | None] = mapped_column(String(16))
    """How images of another shape were made to fit: squeeze, crop or pad."""
    validation: Mapped[str | None] = mapped_column(String(16))
    """What decides which images validate: drawn, given, groups or order; NULL for the user's own training."""
    val_class_counts: Mapped[list[int] | None] = mapped_column(JSON(none_as_null=True))
    """How many validation images each class has; NULL if they are drawn, for `val_fraction` says it."""
    image_findings: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON(none_as_null=True))
    """What was found out about its images before any trial, as the findings on a study are."""
    created_at: Mapped[datetime]
    stopped_at: Mapped[datetime | None]
    """When `hpo stop` stopped it; NULL while workers may claim slots."""
    objective: Mapped[str] = mapped_column(String(NAME_LENGTH), server_default="val_accuracy")
    """The metric that its trials' values are."""
    direction: Mapped[str] = mapped_column(String(16), server_default="maximize")
    """maximize or minimize."""
    tradeoff: Mapped[str | None] = mapped_column(String(NAME_LENGTH))
    """The quantity that is traded for the objective; NULL for none."""
    tradeoff_direction: Mapped[str | None] = mapped_column(String(16))
    priority: Mapped[int] = mapped_column(server_default="0")
    """Workers serve studies with a higher priority first."""


class WorkerRow(Base):
    """A worker process that has registered and not deregistered yet."""

    __tablename__ = "hpo_worker"

    worker: Mapped[str] = mapped_column(String(NAME_LENGTH), primary_key=True)
    device: Mapped[str]
    tags: Mapped[list[str]] = mapped_column(JSON)
    studies: Mapped[list[str]] = mapped_column(JSON)
    """The studies that it serves; empty for all."""
    code_version: Mapped[str]
    started_at: Mapped[datetime]
    seen_at: Mapped[float]
    """Its last heartbeat outside trials, in seconds since 1970 by the database's clock."""


class StatisticsRow(Base):
    """What preprocessing learned from a study's training images; trials with equal statistics share a row."""

    __tablename__ = "hpo_statistics"

    study_id: Mapped[int] = mapped_column(
        ForeignKey("hpo_study.study_id", ondelete="CASCADE"), primary_key=True
    )
    hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    """SHA-256 (hex) of the tensors."""
    state: Mapped[bytes] = mapped_column(LargeBinary)
    """The tensors in safetensors format."""


class TrialRow(Base):
    """One trial: its configuration from the start, its outcome at the end."""

    __tablename__ = "hpo_trial"
    __table_args__ = (
        UniqueConstraint("study_id", "stage", "slot"),
        ForeignKeyConstraint(
            ["study_id", "statistics_hash"], ["hpo_statistics.study_id", "hpo_statistics.hash"]
        ),
        one_of("outcome", OUTCOMES),
        CheckConstraint("outcome <> 'complete' OR value IS NOT NULL", name="ck_complete_has_value"),
        CheckConstraint("(outcome IS NULL) = (ended_at IS NULL)", name="ck_ended"),
    )

    trial_id: Mapped[int] = mapped_column(
        ForeignKey("trials.trial_id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    study_id: Mapped[int] = mapped_column(ForeignKey("hpo_study.study_id", ondelete="CASCADE"))
    stage: Mapped[str] = mapped_column(String(NAME_LENGTH))
    slot: Mapped[int]
    configuration: Mapped[dict[str, Any]] = mapped_column(Document)
    outcome: Mapped[str | None] = mapped_column(String(16))
    value: Mapped[float | None]
    verdict: Mapped[str | None] = mapped_column(Prose)
    remedy: Mapped[str | None] = mapped_column(Prose)
    cause: Mapped[str | None] = mapped_column(String(NAME_LENGTH))
    """The verdict's root cause by name, or one of hpo.checks.causes.OUTCOMES, such as 'healthy'."""
    second_cause: Mapped[str | None] = mapped_column(String(NAME_LENGTH))
    confidence: Mapped[float | None]
    """The verdict's confidence in its cause, 0 to 1."""
    remedy_change: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """The remedy as fields of a configuration and their new values."""
    error: Mapped[str | None] = mapped_column(Prose)
    best_epoch: Mapped[int | None]
    epochs: Mapped[int | None]
    seconds: Mapped[float | None]
    images: Mapped[int | None] = mapped_column(BigInteger)
    images_per_second: Mapped[float | None]
    parameters: Mapped[int | None] = mapped_column(BigInteger)
    milliseconds: Mapped[float | None]
    """To classify one image; NULL if the study did not ask for it."""
    weights_hash: Mapped[str | None]
    statistics_hash: Mapped[str | None] = mapped_column(String(64))
    test_value: Mapped[float | None]
    worker: Mapped[str]
    device: Mapped[str]
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class SlotRow(Base):
    """A planned trial of a study: which worker holds it, until when, and its progress."""

    __tablename__ = "hpo_slot"
    __table_args__ = (
        one_of("state", SLOT_STATES),
        CheckConstraint("(state = 'running') = (worker IS NOT NULL)", name="ck_worker"),
        CheckConstraint("(state = 'running') = (lease_until IS NOT NULL)", name="ck_lease"),
        Index(
            "ix_hpo_slot_open",
            "study_id",
            "slot",
            sqlite_where=text("state <> 'done'"),
            postgresql_where=text("state <> 'done'"),
        ),
        Index(
            "ix_hpo_slot_running",
            "study_id",
            sqlite_where=text("state = 'running'"),
            postgresql_where=text("state = 'running'"),
        ),
    )

    study_id: Mapped[int] = mapped_column(
        ForeignKey("hpo_study.study_id", ondelete="CASCADE"), primary_key=True
    )
    stage: Mapped[str] = mapped_column(String(NAME_LENGTH), primary_key=True)
    slot: Mapped[int] = mapped_column(primary_key=True)
    trial_id: Mapped[int | None] = mapped_column(
        ForeignKey("hpo_trial.trial_id", ondelete="SET NULL"), unique=True
    )
    state: Mapped[str] = mapped_column(String(16), server_default="waiting")
    worker: Mapped[str | None]
    token: Mapped[int] = mapped_column(server_default="0")
    lease_until: Mapped[float | None]
    """Seconds since 1970 by the database's clock."""
    progress_at: Mapped[float | None]
    """When its trial last made progress, by the same clock."""
    epoch: Mapped[int] = mapped_column(server_default="0")
    given: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """Hyperparameters that are fixed for this slot, and their values."""


class StageRow(Base):
    """A stage of a study with ``stages:``, written when it begins. Other studies have none."""

    __tablename__ = "hpo_stage"
    __table_args__ = (UniqueConstraint("study_id", "position"), one_of("kind", STAGE_KINDS))

    study_id: Mapped[int] = mapped_column(
        ForeignKey("hpo_study.study_id", ondelete="CASCADE"), primary_key=True
    )
    stage: Mapped[str] = mapped_column(String(NAME_LENGTH), primary_key=True)
    position: Mapped[int]
    """From 1."""
    kind: Mapped[str] = mapped_column(String(16))
    trials: Mapped[int]
    """Number of its slots when it began; 0 if it could not begin, which ends the study."""
    space: Mapped[dict[str, Any]] = mapped_column(JSON)
    """Its search space, as in a study file."""
    fixed: Mapped[dict[str, Any]] = mapped_column(JSON)
    """Values that it fixes in addition to the study's."""
    epochs: Mapped[int | None]
    """NULL if it is searched, as in the next column."""
    train_images: Mapped[int | None]
    made_at: Mapped[datetime]


class DecisionRow(Base):
    """One decision that shaped a stage, on a hyperparameter or a configuration."""

    __tablename__ = "hpo_decision"
    __table_args__ = (
        ForeignKeyConstraint(
            ["study_id", "stage"], ["hpo_stage.study_id", "hpo_stage.stage"], ondelete="CASCADE"
        ),
    )

    study_id: Mapped[int] = mapped_column(primary_key=True)
    stage: Mapped[str] = mapped_column(String(NAME_LENGTH), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    """From 1."""
    subject: Mapped[str]
    """The hyperparameter; empty if the decision is about the whole stage."""
    action: Mapped[str] = mapped_column(String(16))
    message: Mapped[str] = mapped_column(Prose)
    evidence: Mapped[dict[str, Any]] = mapped_column(Document)


class CandidateRow(Base):
    """A configuration that a stage confirms; the results are added when all its runs are over."""

    __tablename__ = "hpo_candidate"
    __table_args__ = (
        ForeignKeyConstraint(
            ["study_id", "stage"], ["hpo_stage.study_id", "hpo_stage.stage"], ondelete="CASCADE"
        ),
    )

    study_id: Mapped[int] = mapped_column(primary_key=True)
    stage: Mapped[str] = mapped_column(String(NAME_LENGTH), primary_key=True)
    candidate: Mapped[int] = mapped_column(primary_key=True)
    """From 0, the best of the search first; slot s trains candidate s modulo the number of candidates."""
    trial_id: Mapped[int] = mapped_column(ForeignKey("hpo_trial.trial_id", ondelete="CASCADE"))
    """The trial that found it."""
    search_value: Mapped[float]
    runs: Mapped[int]
    completed: Mapped[int | None]
    rank: Mapped[int | None]
    mean: Mapped[float | None]
    low: Mapped[float | None]
    high: Mapped[float | None]
    """The mean's 95 % interval."""
    difference: Mapped[float | None]
    """To the next in rank, over the runs that both completed."""
    p_value: Mapped[float | None]


class AttemptRow(Base):
    """One worker's attempt at a trial."""

    __tablename__ = "hpo_attempt"
    __table_args__ = (one_of("outcome", ATTEMPT_OUTCOMES),)

    trial_id: Mapped[int] = mapped_column(
        ForeignKey("hpo_trial.trial_id", ondelete="CASCADE"), primary_key=True
    )
    attempt: Mapped[int] = mapped_column(primary_key=True)
    worker: Mapped[str]
    host: Mapped[str]
    pid: Mapped[int]
    device: Mapped[str]
    processor: Mapped[str | None]
    """The device's name, such as the GPU's model; NULL, like the next four, before revision 0003."""
    threads: Mapped[int | None]
    precision: Mapped[str | None] = mapped_column(String(16))
    """The resolved `precision`: fp32 or bf16."""
    code_version: Mapped[str | None]
    package_versions: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    from_epoch: Mapped[int]
    to_epoch: Mapped[int | None]
    outcome: Mapped[str | None] = mapped_column(String(16))
    output: Mapped[str | None] = mapped_column(Prose)
    """The last lines that its process printed; NULL for none."""


class RungRow(Base):
    """A trial at an epoch at which it was compared with others, and the decision."""

    __tablename__ = "hpo_rung"
    __table_args__ = (
        one_of("decision", RUNG_DECISIONS),
        Index("ix_hpo_rung_score", "study_id", "stage", "bracket", "epochs", "epoch", "score"),
    )

    trial_id: Mapped[int] = mapped_column(
        ForeignKey("hpo_trial.trial_id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    study_id: Mapped[int] = mapped_column(ForeignKey("hpo_study.study_id", ondelete="CASCADE"))
    stage: Mapped[str] = mapped_column(String(NAME_LENGTH))
    bracket: Mapped[int]
    """Hyperband's; 0 elsewhere."""
    epochs: Mapped[int]
    """The trial's total number; only trials with the same number are compared."""
    score: Mapped[float]
    """Of the best epoch up to this one, higher is better: the objective, negated if the study minimizes it.
    The lowest number for a trial that a check ended, which ranks last (0 before revision 0012)."""
    rank: Mapped[int]
    """At the time of the decision; 1 is the best."""
    compared: Mapped[int]
    """How many trials had reached the rung by then or been ended by a check before, including this one."""
    decision: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str]


def _trial_key() -> Column[Any]:
    return Column("trial_id", ForeignKey("hpo_trial.trial_id", ondelete="CASCADE"), primary_key=True)


EPOCHS = Table(
    "hpo_epoch",
    Base.metadata,
    _trial_key(),
    *columns_of(EpochResult, Column("epoch", Integer, primary_key=True)),
    Column("ended_at", DateTime, nullable=False),
    CheckConstraint("epoch >= 1", name="ck_epoch"),
)
"""The points of the curves."""

CLASSES = Table(
    "hpo_class",
    Base.metadata,
    _trial_key(),
    *columns_of(
        ClassResult, Column("label", Integer, primary_key=True), Column("class_name", Prose, nullable=False)
    ),
)
"""The confusion matrix of a trial's best epoch, a row for each class; of the test images in stage test."""

LAYERS = Table(
    "hpo_layer",
    Base.metadata,
    _trial_key(),
    *columns_of(
        LayerStatistics,
        Column("step", Integer, primary_key=True),
        Column("position", Integer, primary_key=True),
    ),
)
"""Statistics of layers, measured on the probe batch."""

FINDINGS = Table(
    "hpo_finding",
    Base.metadata,
    Column("id", Integer, primary_key=True),
    Column("trial_id", ForeignKey("hpo_trial.trial_id", ondelete="CASCADE"), nullable=False),
    *columns_of(
        Finding,
        Column("check_name", String(NAME_LENGTH), nullable=False),
        Column("severity", String(16), nullable=False),
        Column("layer", String(NAME_LENGTH), nullable=False, server_default=""),
        Column("message", Prose, nullable=False),
        Column("remedy", Prose),
    ),
    one_of("severity", SEVERITIES),
    UniqueConstraint("trial_id", "check_name", "step", "layer"),
    Index("ix_hpo_finding_check", "check_name", "severity"),
)
"""What checks found in trials."""

STUDY_FINDINGS = Table(
    "hpo_study_finding",
    Base.metadata,
    Column("study_id", ForeignKey("hpo_study.study_id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    *columns_of(
        StudyFinding,
        Column("check_name", String(NAME_LENGTH), nullable=False),
        Column("severity", String(16), nullable=False),
        Column("message", Prose, nullable=False),
        Column("evidence", Document, nullable=False),
        Column("remedy", Prose, nullable=False),
        Column("change", Document, nullable=False),
    ),
    Column("trials_seen", Integer, nullable=False),
    Column("made_at", DateTime, nullable=False),
    one_of("severity", get_args(StudySeverity)),
)
"""What checks of a whole study found, the most useful first.

``position`` counts from 1; ``trials_seen`` is the number of finished trials that they read.
"""


class SchemaRow(Base):
    """The fingerprint of the views, so that opening an up-to-date database changes nothing."""

    __tablename__ = "hpo_schema"

    name: Mapped[str] = mapped_column(String(NAME_LENGTH), primary_key=True)
    value: Mapped[str]
