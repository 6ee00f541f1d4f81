"""What is measured of a network, its loss and its examples before training, and of layers at any step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from hpo.records import LayerStatistics, formerly


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
    clipped_share: Annotated[float, formerly("clipped_share", "at_end")] = 0.0
    """Share of the pixels with the lowest or with the highest value, whichever is larger."""
    roughness: tuple[float, ...] = ()
    """Mean squared difference of neighboring cells of 1, 2, 4 and 8 pixels, over twice the variance within
    an image: about 0.1, 0.2, 0.25 and 0.3 for photographs, 1, 1/4, 1/16 and 1/64 for noise."""


@dataclass(frozen=True)
class LabelSignal:
    """How often a linear model on thumbnails predicts the label of an image that it was not fitted to."""

    train: float
    """Within the training examples, by cross-validation."""
    val: float
    """Within the validation examples, by cross-validation."""
    transfer: float
    """Fitted to training examples, evaluated on validation examples."""
    examples: int
    """Number of examples it was evaluated on, the smaller of the two splits."""


@dataclass(frozen=True)
class LabelFacts:
    """Labels of a batch."""

    counts: tuple[int, ...]
    """Per class 0 .. classes - 1."""
    lowest: int
    highest: int

    @property
    def total(self) -> int:
        """Number of labels inside the range."""
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
    log_sum: float = math.nan
    """Largest absolute log-sum-exp of a row: 0 for log-probabilities."""


@dataclass(frozen=True)
class LossProbe:
    """The loss function's values for outputs whose cross-entropy is known; nats."""

    even: float
    """For equal logits: ln C."""
    right: float
    """For logits 20 x one-hot of the right class: almost 0."""
    wrong: float
    """For logits 20 x one-hot of the next class: almost 20."""
    even_twice: float
    """As ``even``, on a batch twice as large."""


@dataclass(frozen=True)
class Memorization:
    """Result of training on a few examples until they are memorized."""

    examples: int
    accuracy: float
    steps: int
    first_loss: float
    last_loss: float
    blank_loss: float
    """Of the trained copy, with the images replaced by zeros."""
    unchanged: tuple[str, ...]
    """Parameters that are bit for bit unchanged."""


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
        """The nonlinearity after the classifier; empty if there is none, as it should be."""
        last = self.layers[-1].nonlinearity if self.layers else ""
        return "" if last == "LinearActivation" else last


@dataclass(frozen=True)
class Preflight:
    """Everything that is measured before training."""

    images: ImageFacts
    labels: LabelFacts
    val_images: ImageFacts | None
    val_labels: LabelFacts | None
    loss: float
    """Cross-entropy of the untrained network in nats, without penalties."""
    penalty: float | None
    """What regularization adds to the loss; None if it is off."""
    logits: LogitFacts
    loss_probe: LossProbe | None
    memorization: Memorization | None
    """None if it was not possible, or given up."""
    layers: Snapshot
    without_gradient: tuple[str, ...]
    """Parameters that get no gradient from the loss."""
    identical_units: Annotated[tuple[str, ...], formerly("identical_units", "alike")]
    """Hidden layers whose units all have the same weights."""
    eval_noise: float
    """Largest difference of the logits between two evaluations of the same images, over their spread."""
    eval_batch_effect: float
    """Largest difference between images evaluated alone and in a batch, over the logits' spread."""
    gradient_error: float | None
    """Relative error of backward's directional derivative in float64; None if not measured."""
    split_t: float = math.nan
    """Student's t between training and validation images, along the mean training image; NaN if unknown."""
    signal: LabelSignal | None = None
    """None without validation examples."""
    output: tuple[int, ...] = ()
    """Shape of the outputs."""
    cut_off: tuple[str, ...] = ()
    """Parameters between the inputs and a cut that no gradient of the first output passes."""
    weight_scale: float = math.nan
    """Norm of a layer's weights over that of He's initialization, the median over layers."""
    gave_up_after: float = math.nan
    """Seconds of processor time after which memorization was given up; NaN if it was not."""
