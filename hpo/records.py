"""The records of a study: each is declared here once.

The table's columns, the typed columns of the views, the events and the JSON follow from these fields.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Literal, get_args

from pydantic import AliasChoices, Field
from pydantic.fields import FieldInfo

OutcomeState = Literal["complete", "pruned", "failed"]
Severity = Literal["pass", "note", "warn", "fatal"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""The mildest first."""
StudySeverity = Literal["note", "warn"]

_IN_MEMORY = {"stored": False}
"""Marks a field that checks read and that is not stored."""


def formerly(name: str, former: str) -> FieldInfo:
    """Let checkpoints and recordings that have the former name of a field still load."""
    info: FieldInfo = Field(validation_alias=AliasChoices(name, former))
    return info


def stored_as(name: str) -> dict[str, str]:
    """Return the metadata of a field that the database and the JSON of a trial know by another name."""
    return {"name": name}


@dataclass(frozen=True)
class EpochResult:
    """One epoch of a training; losses in nats, accuracies in [0, 1], NaN where a number was not finite."""

    epoch: int
    """Counts from 1."""
    train_loss: float
    """Mean over the steps, with label smoothing, augmentation and dropout, without penalties."""
    train_accuracy: float
    val_loss: float
    """Plain cross-entropy on the validation images."""
    val_accuracy: float
    val_balanced_accuracy: float = field(default=math.nan, kw_only=True)
    """Mean over the classes of the share of their images that are named correctly."""
    val_macro_f1: float = field(default=math.nan, kw_only=True)
    """Mean over the classes of F1."""
    val_auc: float = field(default=math.nan, kw_only=True)
    """Area under the ROC curve; of more than two classes the mean of each against the rest."""
    lr: float
    """Of the last step."""
    seconds: float
    """Training and validation."""
    images: int
    """Images trained on."""
    images_per_second: float
    """Training alone, with augmentation."""
    val_predicted_counts: tuple[int, ...] = field(default=(), metadata=_IN_MEMORY)
    """(C,) validation images that were predicted as each class; empty if unknown."""
    val_confusion: tuple[tuple[int, ...], ...] = field(default=(), metadata=_IN_MEMORY)
    """(C, C) validation images by class and by the class that they were predicted as; empty if unknown."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """What the training reported beyond the fields above, by name; NaN where a number was not finite."""

    def metric(self, name: str) -> float:
        """Return a loss, an accuracy, ``lr`` or another reported metric; NaN if it was not reported."""
        value = float(getattr(self, name)) if name in MEASURES else math.nan
        # An own training's val_auc of before it had a column is among the others.
        return self.metrics.get(name, math.nan) if math.isnan(value) else value


LATER_MEASURES = ("val_balanced_accuracy", "val_macro_f1", "val_auc")
"""Those of ``MEASURES`` that epochs of before revision 0014 do not have, or have among their others."""
BASIC_MEASURES = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
"""Those that the checks of any training read."""
MEASURES = (*BASIC_MEASURES, *LATER_MEASURES, "lr")
"""The metrics that have a column of their own."""
MOST_METRICS = 1000
"""Of an epoch. All of them are one value in the database, and are read together."""
LONGEST_NAME = 200
"""Characters in the name of a metric."""


def reported_epoch(epoch: int, metrics: Mapping[str, float], seconds: float) -> EpochResult:
    """Return the epoch of a training that reported these metrics; what it did not report is NaN.

    Raises ``ValueError`` for more than ``MOST_METRICS``, and for names that cannot be stored or read.
    """
    if len(metrics) > MOST_METRICS:
        raise ValueError(f"too many metrics in an epoch: {len(metrics):,}, at most {MOST_METRICS:,}")
    for name in metrics:
        if not name or len(name) > LONGEST_NAME or not name.isprintable():
            raise ValueError(f"{name[:40]!a} is not a valid name of a metric")
    known: dict[str, Any] = {name: float(metrics.get(name, math.nan)) for name in MEASURES}
    others = {name: float(value) for name, value in metrics.items() if name not in MEASURES}
    rest: dict[str, Any] = {"seconds": seconds, "images": 0, "images_per_second": math.nan}
    return EpochResult(epoch, **known, **rest, metrics=others)


@dataclass(frozen=True)
class ClassResult:
    """What a network predicts for the images of one class, in one epoch."""

    label: int
    """From 0."""
    class_name: str
    epoch: int
    images: int
    """Validation images of the class."""
    correct: int
    """How many of them were predicted as this class."""
    predicted: int
    """Images of all classes that were predicted as this class."""
    predictions: Mapping[str, float]
    """How many of its images were predicted as each class, by its label, without zeros."""

    @property
    def recall(self) -> float:
        """The share of the class's images that was predicted as it; NaN without images."""
        return self.correct / self.images if self.images else math.nan

    @property
    def precision(self) -> float:
        """The share of what was predicted as the class that is of it; NaN without predictions."""
        return self.correct / self.predicted if self.predicted else math.nan


def class_results(
    confusion: Sequence[Sequence[int]], class_names: Sequence[str], epoch: int
) -> list[ClassResult]:
    """Return the rows of a confusion matrix (C, C): images by class and by the class predicted."""
    predicted = [sum(column) for column in zip(*confusion, strict=True)]
    return [
        ClassResult(
            label=label,
            class_name=name,
            epoch=epoch,
            images=sum(row),
            correct=row[label],
            predicted=predicted[label],
            predictions={str(other): count for other, count in enumerate(row) if count},
        )
        for label, (name, row) in enumerate(zip(class_names, confusion, strict=True))
    ]


@dataclass(frozen=True)
class Remedy:
    """What to change: ``text`` for people, ``change`` for programs."""

    text: str
    change: Mapping[str, Any] = field(default_factory=dict)
    """Configuration fields and their new values, or ``{"code": fix}`` for a mistake in a loop's code."""


NO_REMEDY = Remedy("")


@dataclass(frozen=True)
class Finding:
    """One check's number and threshold, what they mean, and what to change; NaN for no number."""

    check: str
    severity: Severity
    value: float
    threshold: float
    message: str
    remedy: Remedy = NO_REMEDY
    """Its text alone is stored."""
    step: int = 0
    """0-based over the whole training; 0 also for a finding before it."""
    layer: str = ""
    """Where in the network; empty for the whole network."""
    cause: str = field(default="", metadata=_IN_MEMORY)
    """The key of ``causes.CAUSES`` that this finding supports; empty if it only describes."""
    confidence: float = field(default=0.5, metadata=_IN_MEMORY)
    """How strongly this finding alone suggests the cause, 0 to 1."""
    epoch: int = 0
    """How many epochs were complete when it was recorded."""


@dataclass(frozen=True)
class LayerStatistics:
    """One layer of weights and what follows it, on the probe batch and in one step; NaN where unknown."""

    name: str = field(metadata=stored_as("layer"))
    nonlinearity: str = field(default="", metadata=_IN_MEMORY)
    """The class of the activation that follows; empty if there is none (the classifier)."""
    mean: float = field(default=math.nan, metadata=stored_as("activation_mean"))
    std: float = field(default=math.nan, metadata=stored_as("activation_std"))
    """Of the activations after the nonlinearity."""
    dead: float = math.nan
    """Share of units with the same output for the whole probe batch: zero, for a ReLU."""
    saturated: float = math.nan
    """Share of activations at the flat ends of a sigmoid or tanh; NaN for others."""
    gradient_norm: float = math.nan
    """L2 norm of the weight's gradient in the step."""
    weight_norm: float = field(default=math.nan, metadata=_IN_MEMORY)
    update_ratio: float = math.nan
    """L2 norm of the step's change over ``weight_norm``."""
    constant_outputs: Annotated[float, formerly("constant_outputs", "mute")] = field(
        default=math.nan, metadata=_IN_MEMORY
    )
    """Share of the layer's outputs, before the nonlinearity, that are the same for the whole probe batch."""
    two_signed: Annotated[float, formerly("two_signed", "crossing")] = field(
        default=math.nan, metadata=_IN_MEMORY
    )
    """Share of units with values of both signs before the nonlinearity; measured once, before training."""
    low: float = field(default=math.nan, metadata=stored_as("activation_low"))
    high: float = field(default=math.nan, metadata=stored_as("activation_high"))
    """Of a sample of the activations."""
    counts: tuple[int, ...] = field(default=(), metadata=stored_as("activation_counts"))
    """Histogram of the sample: counts in bins of equal width from ``low`` to ``high``. Empty in snapshots
    without a histogram and for values that are not finite."""
    step: int = 0
    """0-based over the whole training; -1 before it."""
    epoch: int = 0
    """How many epochs were complete when it was recorded."""
    position: int = 0
    """The layer's place from the input, 0 first."""


@dataclass(frozen=True)
class StudyFinding:
    """What a check found out about a whole study."""

    check: str
    severity: StudySeverity
    message: str
    evidence: Mapping[str, Any]
    """The numbers behind it."""
    remedy: str = ""
    change: Mapping[str, Any] = field(default_factory=dict)
    """The remedy as a JSON merge patch (RFC 7396) of the study file, such as ``{"space": {"lr": {"log":
    [1e-4, 0.12]}}}``; empty if none would make a valid file."""


def stored_fields(record: type) -> dict[str, str]:
    """Return the fields of a record that are stored, in order: the name in the database of each."""
    kept = [each for each in fields(record) if each.metadata.get("stored", True)]
    return {each.name: each.metadata.get("name", each.name) for each in kept}


def stored(record: EpochResult | ClassResult | Finding | LayerStatistics | StudyFinding) -> dict[str, Any]:
    """Return the stored fields by their names in the database and JSON; None for empty values."""
    names = stored_fields(type(record))
    return {there: _plain(getattr(record, name)) for name, there in names.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Remedy):
        return value.text or None
    if isinstance(value, tuple):
        return list(value) or None
    return value


@dataclass(frozen=True)
class Rung:
    """An epoch at which a trial is compared with others; ``score`` is its best one up to ``epoch``.

    Only trials of the same stage and ``bracket`` that train for the same number of ``epochs`` are compared.
    """

    epoch: int
    epochs: int
    bracket: int
    score: float


@dataclass(frozen=True)
class RungRank:
    """A trial's rank at a rung: ``rank`` (1 is best) of the ``of`` trials that have reached it."""

    epoch: int
    rank: int
    of: int


@dataclass(frozen=True)
class Paused(RungRank):
    """The best of the trials that are paused at a rung."""

    slot: int
    trial_id: int


@dataclass(frozen=True)
class Decision:
    """Whether a trial continues after a rung, is stopped or paused, and why."""

    action: Literal["goes_on", "stopped", "paused"]
    reason: str


@dataclass(frozen=True)
class Runtime:
    """What an attempt trains on besides the device; results depend on each. None if unknown."""

    processor: str | None = None
    threads: int | None = None
    precision: str | None = None


@dataclass(frozen=True)
class Outcome:
    """How a trial ended. ``error`` is a traceback; a complete trial's ``value`` is a finite number."""

    state: OutcomeState
    value: float | None = None
    verdict: str | None = None
    remedy: str | None = None
    cause: str | None = None
    second_cause: str | None = None
    confidence: float | None = None
    remedy_change: Mapping[str, Any] | None = None
    error: str | None = None
    best_epoch: int | None = None
    parameters: int | None = None
    milliseconds: float | None = None
    """To classify one image; None if it was not measured."""
    weights_hash: str | None = None
    test_value: float | None = None

    def __post_init__(self) -> None:
        if self.state == "complete" and (self.value is None or not math.isfinite(self.value)):
            raise ValueError(f"a complete trial needs a finite value, not {self.value}")
