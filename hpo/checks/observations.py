"""Observations: every number that checks read, gathered elsewhere. Small, on the host, and picklable.

Since checks are pure functions of these, a recorded training can be judged again without training.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import numpy as np
from pydantic import PlainSerializer, PlainValidator

from hpo.records import LayerStatistics


@dataclass(frozen=True)
class Setup:
    """What is known of a training before it starts."""

    classes: int
    optimizer: str
    """The optimizer's class, in lower case."""
    lr: float
    """Peak learning rate."""
    momentum: float
    """0 where the optimizer has none; beta1 for Adam's kin."""
    weight_decay: float
    epochs: int | None
    steps_per_epoch: int | None
    settings: Mapping[str, Any]
    """The fields of the configuration that apply; empty for a loop that has none."""
    parameters: int
    """Trainable parameters, counted by tensor."""
    frozen: tuple[str, ...]
    """Parameters with ``requires_grad`` off."""
    unoptimized: tuple[str, ...]
    """Trainable parameters that the optimizer does not have."""
    strangers: int
    """Parameters of the optimizer that are not the model's."""
    dropout: float
    """The largest drop probability in the network."""
    still_norms: tuple[str, ...]
    """Batch norms whose running statistics never move (momentum 0)."""
    maximizes: bool = False
    """Whether the optimizer goes uphill."""

    @property
    def total_steps(self) -> int | None:
        """Steps of the whole training, if known."""
        if self.epochs is None or self.steps_per_epoch is None:
            return None
        return self.epochs * self.steps_per_epoch


@dataclass(frozen=True)
class ImageFacts:
    """A batch of images as the network gets them."""

    count: int
    channel_means: tuple[float, ...]
    channel_stds: tuple[float, ...]
    mean: float
    std: float
    low: float
    high: float
    at_end: float = 0.0
    """Share of the pixels that have the lowest value of all, or the highest, whichever are more."""
    roughness: tuple[float, ...] = ()
    """Mean squared difference of neighbouring cells of 1, 2, 4 and 8 pixels, over twice the variance within
    an image: about 0.1, 0.2, 0.25 and 0.3 for photographs, 1, 1/4, 1/16 and 1/64 for noise."""


@dataclass(frozen=True)
class LabelSignal:
    """How often a linear model on thumbnails predicts the label of an image that it was not fitted to."""

    train: float
    """Within the training examples, by cross-validation."""
    val: float
    """Within those of validation."""
    transfer: float
    """Fitted to training examples, tried on those of validation."""
    examples: int
    """How many each was tried on, the smaller of the two splits."""


@dataclass(frozen=True)
class LabelFacts:
    """Labels of a batch."""

    counts: tuple[int, ...]
    """Per class 0 .. classes - 1."""
    lowest: int
    highest: int

    @property
    def total(self) -> int:
        """Labels inside the range."""
        return sum(self.counts)


@dataclass(frozen=True)
class LogitFacts:
    """The outputs of the untrained network on a batch (n, classes)."""

    low: float
    high: float
    row_sum_low: float
    row_sum_high: float
    between_images: float
    """Standard deviation over images, averaged over classes."""
    between_classes: float
    """Standard deviation over classes, averaged over images."""


@dataclass(frozen=True)
class LossProbe:
    """What the loss function gives for outputs whose cross-entropy is known; nats."""

    even: float
    """For equal logits: ln C."""
    right: float
    """For logits 20 x one-hot of the right class: almost 0."""
    wrong: float
    """For logits 20 x one-hot of the next class: almost 20."""
    even_twice: float
    """As ``even``, on a batch of twice as many."""


@dataclass(frozen=True)
class Memorization:
    """Training on a few examples by heart."""

    examples: int
    accuracy: float
    steps: int
    first_loss: float
    last_loss: float
    blank_loss: float
    """Of the trained copy, with the images replaced by zeros."""
    unchanged: tuple[str, ...]
    """Parameters that are bit for bit what they were before."""


@dataclass(frozen=True)
class Snapshot:
    """All layers at a step, in the order of the forward pass."""

    step: int
    """0-based; -1 before training."""
    lr: float
    loss: float
    """Cross-entropy of the probe batch, normalization on batch statistics, dropout off."""
    logit_spread: float
    """Standard deviation of the logits over the probe images, averaged over classes."""
    layers: tuple[LayerStatistics, ...]

    @property
    def hidden(self) -> tuple[LayerStatistics, ...]:
        """All but the classifier."""
        return self.layers[:-1]

    @property
    def output_activation(self) -> str:
        """The nonlinearity behind the classifier; empty if there is none, as there should be."""
        last = self.layers[-1].nonlinearity if self.layers else ""
        return "" if last == "LinearActivation" else last


@dataclass(frozen=True)
class ModeGap:
    """Cross-entropy of the probe batch with batch statistics and with running statistics."""

    step: int
    """Steps taken so far."""
    batch_statistics: float
    running_statistics: float


@dataclass(frozen=True)
class Preflight:
    """What was measured before training."""

    images: ImageFacts
    labels: LabelFacts
    val_images: ImageFacts | None
    val_labels: LabelFacts | None
    loss: float
    """Cross-entropy of the untrained network in nats, without penalties."""
    penalty: float | None
    """What regularization adds to it; None where it is off."""
    logits: LogitFacts
    loss_probe: LossProbe | None
    memorization: Memorization | None
    layers: Snapshot
    without_gradient: tuple[str, ...]
    """Parameters to which no gradient flows from the loss."""
    alike: tuple[str, ...]
    """Hidden layers of which all units have the same weights."""
    eval_noise: float
    """Largest difference of the logits between two evaluations of the same images, over their spread."""
    eval_batch_effect: float
    """Largest difference between images evaluated alone and in a batch, over the logits' spread."""
    gradient_error: float | None
    """Relative error of backward's directional derivative in float64; None where not measured."""
    split_t: float = math.nan
    """Student's t between training and validation images, along the mean training image; NaN if unknown."""
    signal: LabelSignal | None = None
    """None without validation examples."""


@dataclass(frozen=True)
class StepAudit:
    """What the loop did in one of its first steps, against what a sound one does; NaN where unknown."""

    step: int
    examples: int
    loss: float
    """As the loop reported it."""
    cross_entropy: float
    """Of the outputs and the labels of that step, nats."""
    cosine: float
    """Between the gradients by the logits of the loss and of cross-entropy: 1 in a sound loop."""
    scale: float
    """The length of the first along the second, over the second's: 1, or the batch size for a sum."""
    idle: float
    """Share of the examples to which the loss gives no gradient."""
    lead: float
    """Mean cross-entropy of the others, minus that of all; below 0 if the easy ones are learned from."""
    gradient_cosine: float
    """Between the weights' gradients when the optimizer stepped and as backward gave them: 1."""
    gradient_scale: float
    """The length of the first along the second, over the second's: 1, or less where gradients are clipped."""
    lost: float
    """Share of the entries of backward's gradient that were exactly 0 when the optimizer stepped."""
    descent: float
    """Cosine between the change of the weights and the way downhill: 1 for plain SGD, above 0 for others."""
    kept: float
    """Share of that change that was still there before the next step: 1."""


@dataclass(frozen=True)
class ForwardRecord:
    """A forward pass of the loop itself: what the network was fed, and in which mode."""

    step: int
    """Steps taken so far."""
    learning: bool
    """Whether backward followed."""
    training_mode: bool
    eval_norms: tuple[str, ...]
    """Normalization and dropout layers in evaluation mode."""
    mean: float
    std: float
    """Of the images; NaN if there were too few."""
    stale_gradient: float
    """Norm of the gradients that were there when backward began, over that of the step before; or NaN."""


@dataclass(frozen=True)
class EpochFacts:
    """The numbers of an epoch; NaN where the loop did not say."""

    epoch: int
    step: int
    """Steps taken so far."""
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float


Numbers = Annotated[
    np.ndarray,
    PlainValidator(lambda given: np.asarray(given, np.float64)),
    PlainSerializer(np.ndarray.tolist),
]
"""An array of float64, a list in JSON."""


@dataclass
class Observations:
    """Everything seen so far."""

    setup: Setup
    preflight: Preflight | None = None
    losses: Numbers = field(default_factory=lambda: np.empty(0))
    """(steps,) training losses as the loop reports them."""
    snapshots: list[Snapshot] = field(default_factory=list)
    modes: list[ModeGap] = field(default_factory=list)
    fed: list[ForwardRecord] = field(default_factory=list)
    audits: list[StepAudit] = field(default_factory=list)
    batch_classes: list[int] = field(default_factory=list)
    """Different classes in each of the first batches."""
    batch_labels: int = 0
    """Labels in the largest of these; 0 if unknown."""
    curve: list[EpochFacts] = field(default_factory=list)
    optimizer_steps: int = 0
    val_images: int | None = None
    """How many images validation accuracies are measured on."""
    ended: bool = False
    """Whether the training has come to its end."""

    @property
    def steps(self) -> int:
        """Steps whose losses are known."""
        return len(self.losses)

    @property
    def progress(self) -> float:
        """Share of the training that is over; NaN if its length is not known."""
        total = self.setup.total_steps
        return self.steps / total if total else float("nan")

    def until(self, steps: int) -> Observations:
        """What had been seen after so many steps."""
        return replace(
            self,
            losses=self.losses[:steps],
            snapshots=[each for each in self.snapshots if each.step < steps],
            fed=[each for each in self.fed if each.step <= steps],
            audits=[each for each in self.audits if each.step < steps],
            modes=[each for each in self.modes if each.step <= steps],
            batch_classes=self.batch_classes[:steps],
            curve=[each for each in self.curve if each.step <= steps],
            optimizer_steps=min(self.optimizer_steps, steps),
            ended=False,
        )

    @property
    def latest(self) -> Snapshot | None:
        """The last look at the layers; the untrained ones before the first."""
        if self.snapshots:
            return self.snapshots[-1]
        return self.preflight.layers if self.preflight else None

    @property
    def known_curve(self) -> list[EpochFacts]:
        """Epochs of which everything is known and finite."""
        return [
            epoch
            for epoch in self.curve
            if all(map(math.isfinite, (epoch.train_accuracy, epoch.val_accuracy, epoch.val_loss)))
        ]

    def accuracies(self) -> Sequence[float]:
        """Validation accuracies, by epoch."""
        return [epoch.val_accuracy for epoch in self.curve]
