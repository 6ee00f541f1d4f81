"""Thresholds of all checks. Their sources and measurements are in docs/checks.md."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Preset = Literal["off", "standard", "full"]


def _limit(default: float, description: str, **limits: Any) -> Any:
    return Field(default=default, description=description, **limits)


class Thresholds(BaseModel):
    """How closely a training is checked; every field can be set under ``checks:`` in a study file."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    preset: Preset = Field(
        default="standard",
        description="off checks nothing; full adds the gradient check in float64 and more layer statistics",
    )

    # --- before training ---
    image_std_low: float = _limit(
        0.02, "standard deviation of the images below which their scaling is wrong", gt=0
    )
    image_std_high: float = _limit(
        10.0, "standard deviation of the images above which scaling is missing", gt=0
    )
    image_offset: float = _limit(4.0, "|mean| of the images over their standard deviation", gt=0)
    split_shift: float = _limit(
        0.5, "difference of the means of training and validation images, in standard deviations", gt=0
    )
    split_scale: float = _limit(2.0, "ratio of the standard deviations of both", gt=1)
    roughness_ratio: float = _limit(
        0.4, "roughness of training over validation images at any scale, either way, as a power of 2", gt=0
    )
    class_share: float = _limit(0.5, "share of one class among the first labels", gt=0, le=1)
    initial_loss_factor: float = _limit(2.0, "first loss over ln C", gt=1)
    gradient_error: float = _limit(0.05, "relative error of backward against a numeric derivative", gt=0)
    eval_difference: float = _limit(
        0.5, "difference between two evaluations of the same image, over the spread of logits", gt=0
    )

    # --- during training ---
    explosion_factor: float = _limit(3.0, "loss over the first loss, or over ln C if that is larger", gt=1)
    spike_factor: float = _limit(2.0, "a step's loss over the median of the ten steps before it", gt=1)
    chance_margin: float = _limit(
        0.02, "nats below ln C that count as having learned something; less for unequal classes", gt=0
    )
    patience: float = _limit(
        0.12, "share of the training after which a trial at chance level may be stopped", gt=0, le=1
    )
    dead_share: float = _limit(0.9, "share of a layer's units that are the same for all images", gt=0, le=1)
    saturated_share: float = _limit(0.9, "share of a layer's activations at the flat ends", gt=0, le=1)
    activation_std_low: float = _limit(1e-3, "standard deviation of a layer's activations", gt=0)
    activation_std_high: float = _limit(1e3, "standard deviation of a layer's activations", gt=0)
    gradient_ratio: float = _limit(
        1e4, "gradient of the last layer over that of the first, relative to weights", gt=1
    )
    update_factor: float = _limit(
        8.0, "factor between the first update and the optimizer's usual one, either way", gt=1
    )
    mode_gap: float = _limit(
        1.0, "nats that running statistics cost compared with batch statistics on the same images", gt=0
    )
    loss_cosine: float = _limit(
        0.3, "cosine between the gradients of the loss and of cross-entropy by the outputs", gt=0, lt=1
    )
    stale_gradient: float = _limit(
        0.3, "norm of the gradients at the start of backward over those of the step before", gt=0
    )
    batch_class_share: float = _limit(
        0.4, "number of classes in a batch over that of a shuffled batch", gt=0, le=1
    )

    # --- after training ---
    chance_sigmas: float = _limit(
        4.0, "how improbable guessing must be: as a normal variable beyond these standard deviations", gt=0
    )
    overfit_gap: float = _limit(0.25, "training accuracy minus validation accuracy", gt=0, le=1)
    underfit_accuracy: float = _limit(
        0.22, "training accuracy above chance, as a share of what is possible", gt=0, le=1
    )

    @property
    def watch(self) -> bool:
        """Whether anything is checked."""
        return self.preset != "off"

    @property
    def thorough(self) -> bool:
        """Whether expensive checks run too."""
        return self.preset == "full"


def thresholds_of(checks: Preset | Thresholds) -> Thresholds:
    """Return the thresholds of a preset, or the given ones."""
    return checks if isinstance(checks, Thresholds) else Thresholds(preset=checks)
