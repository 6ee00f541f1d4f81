"""What a worker records about its trial."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

OutcomeState = Literal["complete", "pruned", "failed"]
Severity = Literal["pass", "note", "warn", "fatal"]


@dataclass(frozen=True)
class EpochRecord:
    """One point of the curves; ``epoch`` counts from 1, accuracies are in [0, 1]."""

    epoch: int
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    lr: float
    seconds: float
    images: int
    images_per_second: float


@dataclass(frozen=True)
class FindingRecord:
    """What a check found at a step; ``layer`` says where, empty for the whole network."""

    check: str
    severity: Severity
    step: int
    epoch: int
    message: str
    value: float | None = None
    threshold: float | None = None
    remedy: str | None = None
    layer: str = ""


@dataclass(frozen=True)
class Rung:
    """Where a trial is compared with others: ``score`` is its best accuracy up to ``epoch``.

    Only with trials of the same stage and ``bracket`` that are to train as many ``epochs``.
    """

    epoch: int
    epochs: int
    bracket: int
    score: float


@dataclass(frozen=True)
class Standing:
    """A trial's place at a rung: ``rank`` (1 is best) of the ``of`` trials that came there."""

    epoch: int
    rank: int
    of: int


@dataclass(frozen=True)
class Paused(Standing):
    """The best of the trials that are paused at a rung."""

    slot: int
    trial_id: int


@dataclass(frozen=True)
class Decision:
    """What becomes of a trial at a rung, and why in words."""

    action: Literal["goes_on", "stopped", "paused"]
    words: str


@dataclass(frozen=True)
class StudyFindingRecord:
    """What a check found out about a whole study; ``change`` is a JSON merge patch of its file."""

    check: str
    severity: Literal["note", "warn"]
    message: str
    evidence: Mapping[str, Any]
    remedy: str
    change: Mapping[str, Any]


@dataclass(frozen=True)
class LayerRecord:
    """Statistics of the ``position``-th layer on the probe batch at a step."""

    step: int
    epoch: int
    position: int
    layer: str
    activation_mean: float | None = None
    activation_std: float | None = None
    dead: float | None = None
    saturated: float | None = None
    gradient_norm: float | None = None
    update_ratio: float | None = None
    activation_low: float | None = None
    activation_high: float | None = None
    activation_counts: tuple[int, ...] | None = None
    """Of a sample, in as many bins of the same width from low to high; None where no histogram was taken."""


@dataclass(frozen=True)
class Runtime:
    """On what an attempt trains, besides the device: numbers depend on each. None is not known."""

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
    weights_hash: str | None = None
    test_value: float | None = None

    def __post_init__(self) -> None:
        if self.state == "complete" and (self.value is None or not math.isfinite(self.value)):
            raise ValueError(f"a complete trial needs a finite value, not {self.value}")


@dataclass(frozen=True)
class EpochResult:
    """One epoch; losses in nats, accuracies in [0, 1]."""

    epoch: int
    """Counts from 1."""
    train_loss: float
    """Mean over the steps, with label smoothing, augmentation and dropout, without penalties."""
    train_accuracy: float
    val_loss: float
    """Plain cross-entropy on the validation images."""
    val_accuracy: float
    lr: float
    """Of the last step."""
    seconds: float
    """Training and validation."""
    images: int
    """Images trained on."""
    images_per_second: float
    """Training alone, with augmentation."""
