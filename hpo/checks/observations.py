"""Observations: every number that checks read. Measured elsewhere; small, on the host and picklable.

Checks are pure functions of these, so a recorded training can be judged again without training.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import PlainSerializer, PlainValidator

from hpo.checks.data_facts import DataFacts
from hpo.checks.loss_facts import LossFacts
from hpo.checks.preflight import Preflight, Snapshot
from hpo.checks.updates import Updates
from hpo.records import formerly

Task = Literal[
    "classification",
    "multilabel",
    "regression",
    "language_model",
    "segmentation",
    "generative",
    "reinforcement",
]
"""What a training learns; ``hpo.checks.facts`` says what follows from it."""


@dataclass(frozen=True)
class Setup:
    """What is known about a training before it starts."""

    classes: int
    """0 if unknown or if there are none."""
    optimizer: str
    """The class of the first optimizer, in lower case; empty without one."""
    lr: float
    """Peak learning rate."""
    momentum: float
    """0 where the optimizer has none; beta1 for Adam's kin."""
    weight_decay: float
    epochs: int | None
    steps_per_epoch: int | None
    settings: Mapping[str, Any]
    """The fields of the configuration that apply; empty for a loop without one."""
    parameters: int
    """Trainable parameters, counted by tensor."""
    frozen: tuple[str, ...]
    """Parameters with ``requires_grad`` off."""
    unoptimized: tuple[str, ...]
    """Trainable parameters that are not in the optimizer."""
    foreign_parameters: Annotated[int, formerly("foreign_parameters", "strangers")]
    """Parameters in the optimizer that are not the model's."""
    dropout: float
    """The largest drop probability in the network."""
    frozen_norms: Annotated[tuple[str, ...], formerly("frozen_norms", "still_norms")]
    """Batch norms whose running statistics never change (momentum 0)."""
    maximizes: bool = False
    """Whether the optimizer maximizes."""
    train_class_counts: tuple[int, ...] = ()
    """(C,) training images of each class; empty if unknown."""
    val_class_counts: tuple[int, ...] = ()
    """(C,) validation images of each class; empty if unknown."""
    class_names: tuple[str, ...] = ()
    """The names of the labels 0 .. C - 1; empty if unknown."""
    task: Task | None = "classification"
    """As stated; None to tell it from what is seen."""
    optimizers: int = 1

    def class_name(self, label: int) -> str:
        """Return the name of a class, or its number if names are unknown."""
        return self.class_names[label] if label < len(self.class_names) else str(label)

    def has(self, name: str) -> bool:
        """Whether a change of this field has an effect; a user's network may not read it."""
        return name in self.settings or ":" not in str(self.settings.get("model"))

    def would_change(self, change: Mapping[str, Any]) -> dict[str, Any]:
        """Return the part of a change of the configuration that its fields allow and that is not set yet."""
        missing = object()
        return {
            name: value
            for name, value in change.items()
            if self.has(name) and self.settings.get(name, missing) != value
        }

    @property
    def total_steps(self) -> int | None:
        """Number of steps of the whole training; None if unknown."""
        if self.epochs is None or self.steps_per_epoch is None:
            return None
        return self.epochs * self.steps_per_epoch


@dataclass(frozen=True)
class ModeGap:
    """Cross-entropy of the probe batch with batch statistics and with running statistics."""

    step: int
    """Steps taken so far."""
    batch_statistics: float
    running_statistics: float


@dataclass(frozen=True)
class StepAudit:
    """One of the first steps of the loop, compared with a sound step; NaN where unknown."""

    step: int
    examples: int
    loss: float
    """As reported by the loop."""
    cross_entropy: float
    """Of the outputs and the labels of that step, nats."""
    cosine: float
    """Between the gradients of the loss and of cross-entropy by the logits: 1 in a sound loop."""
    scale: float
    """Projection of the first on the second, over its length: 1, or the batch size for a sum."""
    idle: float
    """Share of the examples that get no gradient from the loss."""
    lead: float
    """Mean cross-entropy of the other examples minus that of all; below 0 if the loss uses the easy ones."""
    gradient_cosine: float
    """Between the weights' gradients at the optimizer step and as backward produced them: 1."""
    gradient_scale: float
    """Projection of the first on the second, over its length: 1, or less if gradients are clipped."""
    lost: float
    """Share of the entries of backward's gradient that were exactly 0 at the optimizer step."""
    descent: float
    """Cosine between the change of the weights and the negative gradient: 1 for plain SGD, else above 0."""
    kept: float
    """Share of that change that remained before the next step: 1."""
    kind: str = ""
    """The loss, as its gradient by the outputs shows it; see ``hpo.checks.measure.loss_kind``."""
    implied_loss: float = math.nan
    """Mean cross-entropy of the outputs and the classes that the gradient pulls them to, nats."""
    output: tuple[int, ...] = ()
    """Shape of the outputs."""
    input: tuple[int, ...] = ()
    """Shape of the inputs; empty if they are not a single tensor."""
    input_floats: bool = True
    pull: float = math.nan
    """Share of the outputs that the loss pulls toward their labels; known of labels that are floats."""
    tail: float = math.nan
    """Share of the loss of sequences that is about one class at their ends."""
    constant_loss: float = math.nan
    """What the best constant answer costs in this batch, if the loss is a squared error."""
    variety: float = math.nan
    """Difference of the outputs between examples, over their size."""
    class_entropy: float = math.nan
    """Of the classes that outputs are pulled to, over all places: the loss of the best constant answer."""


@dataclass(frozen=True)
class TensorFacts:
    """What is known of the tensors that a loop passes: their shape and values."""

    shape: tuple[int, ...]
    floats: bool
    low: float = math.nan
    high: float = math.nan
    variance: float = math.nan
    """Of floats, around the mean over examples."""


@dataclass(frozen=True)
class ForwardRecord:
    """A forward pass of the loop itself: its images and the network's mode."""

    step: int
    """Steps taken so far."""
    learning: bool
    """Whether backward followed."""
    training_mode: bool
    eval_norms: tuple[str, ...]
    """Normalization and dropout layers in evaluation mode."""
    mean: float
    std: float
    """Of the images; NaN for too few images."""
    stale_gradient: float
    """Norm of the gradients present when backward began, over that of the previous step; NaN if unknown."""


@dataclass(frozen=True)
class EpochFacts:
    """The numbers of an epoch; NaN where the loop did not report them."""

    epoch: int
    step: int
    """Steps taken so far."""
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    val_predicted_counts: tuple[int, ...] = ()
    """(C,) validation images that were predicted as each class; empty if unknown."""
    val_balanced_accuracy: float = math.nan
    """Mean recall of the classes."""


Numbers = Annotated[
    np.ndarray,
    PlainValidator(lambda given: np.asarray(given, np.float64)),
    PlainSerializer(np.ndarray.tolist),
]
"""An array of float64, a list in JSON."""


@dataclass
class Observations:
    """Everything observed so far."""

    setup: Setup
    preflight: Preflight | None = None
    losses: Numbers = field(default_factory=lambda: np.empty(0))
    """(steps,) training losses as reported by the loop."""
    snapshots: list[Snapshot] = field(default_factory=list)
    modes: list[ModeGap] = field(default_factory=list)
    forwards: Annotated[list[ForwardRecord], formerly("forwards", "fed")] = field(default_factory=list)
    audits: list[StepAudit] = field(default_factory=list)
    loss_graphs: list[LossFacts] = field(default_factory=list)
    """The graphs of the first losses, if the loop reports losses that have one."""
    opponents: list[float] = field(default_factory=list)
    """Distances of the gradients that two losses have by the same answers; see ``measure.opponents``."""
    batch_classes: list[int] = field(default_factory=list)
    """Number of classes in each of the first batches."""
    batch_labels: int = 0
    """Number of labels in the largest of these; 0 if unknown."""
    class_counts: list[int] = field(default_factory=list)
    """(C,) examples of each class in the first batches."""
    mixed_classes: int = 0
    """Number of classes in all of these together; 0 if unknown."""
    inputs: TensorFacts | None = None
    """The training examples that ``before`` got."""
    labels: TensorFacts | None = None
    """The labels of the first step, or those that ``before`` got."""
    curve: list[EpochFacts] = field(default_factory=list)
    accuracy_scales: dict[str, float] = field(default_factory=dict)
    """By name, what makes shares of accuracies that are not: 0.01 of percentages, NaN of anything else."""
    optimizer_steps: int = 0
    val_images: int | None = None
    """Number of images that validation accuracies are measured on."""
    untrained: tuple[str, ...] = ()
    """Parameters outside of the optimizer that got a gradient and never changed."""
    still_frozen: tuple[str, ...] = ()
    """Parameters that were frozen from the start to the end, though the optimizer has them."""
    unreached: tuple[str, ...] = ()
    """Parameters of the optimizer that got no gradient in the first steps and never changed."""
    is_unchanged: bool = False
    """Whether no parameter of the optimizer had changed; read at the end, and while no optimizer steps."""
    updates: Updates = field(default_factory=Updates)
    ended: bool = False
    """Whether the training is over."""
    data: DataFacts | None = None
    """None for trainings of hpo's own, whose data hpo loads."""
    is_partial: bool = False
    """Whether the training was resumed without what had been measured of its data and first weights."""
    carried: list[tuple[float, float]] = field(default_factory=list)
    """Of single optimizers in the first steps: the cosines of the gradient that is used with the sum of what
    backward added and what the step before left, and with what backward added alone."""
    is_interrupted: bool = False
    """Whether it ended between a forward pass and the step for that, in one of the first steps."""
    error: str = ""
    """The exception that ended it, if known."""
    reduction: str = ""
    """What the loss function does with the losses of a batch, as PyTorch names it; empty if unknown."""

    @property
    def classes(self) -> int:
        """Number of classes: as stated, otherwise that of the outputs; 0 if there are none."""
        if self.setup.classes:
            return self.setup.classes
        return self.output[1] if len(self.output) in (2, 4) else self.output[-1] if self.output else 0

    @property
    def output(self) -> tuple[int, ...]:
        """Shape of the outputs; empty if unknown."""
        found = next((audit.output for audit in self.audits if audit.output), ())
        return found or (self.preflight.output if self.preflight else ())

    @property
    def steps(self) -> int:
        """Number of steps whose losses are known."""
        return len(self.losses)

    @property
    def progress(self) -> float:
        """Completed share of the training; NaN if its length is unknown."""
        total = self.setup.total_steps
        return self.steps / total if total else float("nan")

    def until(self, steps: int) -> Observations:
        """Return what had been observed after this number of steps."""
        return replace(
            self,
            losses=self.losses[:steps],
            snapshots=[each for each in self.snapshots if each.step < steps],
            forwards=[each for each in self.forwards if each.step <= steps],
            audits=[each for each in self.audits if each.step < steps],
            loss_graphs=[each for each in self.loss_graphs if each.step < steps],
            modes=[each for each in self.modes if each.step <= steps],
            batch_classes=self.batch_classes[:steps],
            curve=[each for each in self.curve if each.step <= steps],
            optimizer_steps=min(self.optimizer_steps, steps),
            ended=False,
        )

    @property
    def latest(self) -> Snapshot | None:
        """The latest snapshot; the untrained layers before the first one."""
        if self.snapshots:
            return self.snapshots[-1]
        return self.preflight.layers if self.preflight else None

    @property
    def known_curve(self) -> list[EpochFacts]:
        """Epochs whose numbers are all known and finite."""
        return [
            epoch
            for epoch in self.curve
            if all(map(math.isfinite, (epoch.train_accuracy, epoch.val_accuracy, epoch.val_loss)))
        ]

    def accuracies(self) -> Sequence[float]:
        """Return the validation accuracies by epoch."""
        return [epoch.val_accuracy for epoch in self.curve]
