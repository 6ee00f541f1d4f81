"""Programs that train well: no check may warn on them, and none may be stopped.

They were listed before any verdict on them had been seen. Whether one trains well is decided by its accuracy
alone, in ``trains_well``; one that does not is left out of the count, and the benchmark says so.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from diagnosis_programs.bases import PLAIN_ADAM, program
from diagnosis_programs.program import Program
from diagnosis_programs.wrong_step import negative_log_likelihood

SEEDS = (0, 1)
LEAST_ACCURACY = 0.28
"""Nearly three times chance, 12 standard errors of guessing on 1,000 images away."""
BELOW_MEDIAN = 0.15
"""As far below the median of its network's healthy programs a program may end: slow, but sound."""


@dataclass(frozen=True)
class Healthy:
    """A sound configuration, and what is special about it."""

    name: str
    kind: str
    """Programs of one kind are shared out evenly between the halves."""
    fields: Mapping[str, Any]
    parts: Mapping[str, Any]

    @property
    def network(self) -> str:
        """The model, whose other programs it is compared with."""
        return str(self.fields.get("model", "convnet"))

    def program(self) -> Program:
        """The training program."""
        return replace(program(**self.fields), **self.parts)


def trains_well(accuracies: Sequence[float], comparable: Sequence[float]) -> bool:
    """Whether a program's final accuracies (one per seed) are those of a sound training.

    ``comparable`` are the mean accuracies of all healthy programs with the same network.
    """
    limit = max(LEAST_ACCURACY, statistics.median(comparable) - BELOW_MEDIAN)
    return min(accuracies) >= limit


def _healthy(kind: str, name: str, parts: Mapping[str, Any] | None = None, **fields: Any) -> Healthy:
    return Healthy(name, kind, fields, parts or {})


NO_NORM: dict[str, Any] = {"batch_norm": "none"}
MLP: dict[str, Any] = {"model": "mlp", "depth": 2, "batch_norm": "none", "lr": 0.02}

_ALL = [
    # --- every activation ---
    _healthy("activation", "relu", **NO_NORM, lr=0.02),
    _healthy("activation", "leaky_relu", **NO_NORM, activation="leaky_relu", negative_slope=0.1, lr=0.02),
    _healthy("activation", "prelu", activation="prelu"),
    _healthy("activation", "elu", **NO_NORM, activation="elu", lr=0.02),
    _healthy("activation", "selu", **NO_NORM, activation="selu", initializer="lecun", lr=0.01),
    _healthy("activation", "gelu", activation="gelu", optimizer="adam", lr=2e-3),
    _healthy("activation", "maxout", **NO_NORM, activation="maxout", lr=0.02),
    _healthy("activation", "softplus", activation="softplus"),
    _healthy("activation", "linear", **NO_NORM, activation="linear", initializer="lecun", lr=0.01),
    _healthy("activation", "tanh_xavier", **NO_NORM, activation="tanh", initializer="xavier", lr=0.02),
    _healthy("activation", "lecun_tanh", **PLAIN_ADAM, activation="lecun_tanh", initializer="lecun", lr=1e-3),
    _healthy("activation", "sigmoid_bn", activation="sigmoid", lr=0.1),
    # --- every initializer ---
    _healthy("initializer", "xavier", **NO_NORM, initializer="xavier", lr=0.02),
    _healthy("initializer", "lecun", **PLAIN_ADAM, initializer="lecun", lr=2e-3),
    _healthy("initializer", "orthogonal", **NO_NORM, initializer="orthogonal", lr=0.02),
    _healthy("initializer", "lsuv", **NO_NORM, initializer="lsuv", lr=0.02),
    _healthy("initializer", "small_gaussian_bn", initializer="small_gaussian"),
    _healthy("initializer", "gaussian_0.05_adam", **PLAIN_ADAM, initializer="gaussian", lr=2e-3),
    # --- normalizations ---
    _healthy("norm", "bn_before", lr=0.05),
    _healthy("norm", "bn_after", batch_norm="after", lr=0.05),
    _healthy("norm", "layer_norm", norm="layer", lr=0.05),
    _healthy("norm", "group_norm", norm="group", norm_groups=4, optimizer="adam", lr=2e-3),
    _healthy("norm", "bn_momentum_0.01", norm_momentum=0.02, lr=0.02),
    _healthy("norm", "bn_batch_16", batch_size=16, lr=0.02),
    # --- optimizers ---
    _healthy("optimizer", "sgd_no_momentum", momentum=0.0, lr=0.1),
    _healthy("optimizer", "momentum_0.98", momentum=0.98, lr=0.01),
    _healthy("optimizer", "momentum_0.5", **NO_NORM, momentum=0.5, lr=0.08),
    _healthy("optimizer", "adagrad", optimizer="adagrad", lr=0.02),
    _healthy("optimizer", "rmsprop", **{**NO_NORM, "optimizer": "rmsprop", "momentum": 0.0, "lr": 1e-3}),
    _healthy("optimizer", "adam", **PLAIN_ADAM, lr=1e-3),
    _healthy("optimizer", "adam_large_lr_bn", optimizer="adam", lr=0.02),
    _healthy("optimizer", "adamw_decay", optimizer="adamw", weight_decay=0.05, lr=3e-3),
    # --- schedules and rates ---
    _healthy("schedule", "constant", schedule="constant", lr=0.02),
    _healthy("schedule", "step", schedule="step", step_epochs=2, lr=0.05),
    _healthy("schedule", "exponential", **NO_NORM, schedule="exponential", lr_decay=0.6, lr=0.03),
    _healthy("schedule", "inverse_time", schedule="inverse_time", lr_decay=0.5, lr=0.05),
    _healthy("schedule", "one_cycle", schedule="one_cycle", lr=0.15),
    _healthy("schedule", "large_lr_warm_up", warmup_epochs=1.5, lr=0.4),
    _healthy("schedule", "slow_but_sound", schedule="constant", lr=3e-3),
    _healthy("schedule", "slow_adam", **PLAIN_ADAM, schedule="constant", lr=4e-4),
    # --- widths, depths, networks ---
    _healthy("network", "width_4", width=4),
    _healthy("network", "vgg_bn", model="vgg", depth=8, lr=0.05),
    _healthy("network", "vgg_deep_bn", model="vgg", depth=11, activation="leaky_relu", lr=0.05),
    _healthy("network", "convnet_5", **NO_NORM, depth=5, lr=0.02),
    _healthy("network", "convnet_8", depth=8, lr=0.05),
    _healthy("network", "resnet", model="resnet", depth=8, width=4, optimizer="adam", lr=0.02),
    _healthy("network", "mlp", **MLP),
    _healthy(
        "network",
        "mlp_selu_deep",
        **{**MLP, "depth": 8, "activation": "selu", "initializer": "lecun", "lr": 5e-3},
    ),
    # --- batch sizes ---
    _healthy("batch", "batch_8", **{**NO_NORM, "batch_size": 8, "lr": 3e-3}),
    _healthy("batch", "batch_16_adam", **PLAIN_ADAM, batch_size=16, lr=7e-4),
    _healthy("batch", "batch_200", batch_size=200, lr=0.1),
    _healthy("batch", "batch_128_adam", **PLAIN_ADAM, batch_size=128, lr=3e-3),
    # --- preprocessing and augmentation ---
    _healthy("images", "none", preprocessing="none", lr=0.05),
    _healthy("images", "standardize_pixel", **NO_NORM, preprocessing="standardize_pixel", lr=0.02),
    _healthy("images", "minmax", **PLAIN_ADAM, preprocessing="minmax", lr=2e-3),
    _healthy("images", "whiten", **NO_NORM, preprocessing="whiten", lr=0.02),
    _healthy("images", "zca", preprocessing="zca"),
    _healthy("images", "flip", augmentation="flip"),
    _healthy("images", "flip_crop", augmentation="flip_crop", optimizer="adam", lr=3e-3),
    _healthy("images", "cutout_x1.5", augmentation="flip_crop_cutout", augmentation_strength=1.5),
    # --- regularization ---
    _healthy("penalty", "tiny_weight_decay", weight_decay=1e-8),
    _healthy("penalty", "weight_decay_0.01", weight_decay=0.01),
    _healthy("penalty", "dropout_0.3", **NO_NORM, dropout=0.3, lr=0.02),
    _healthy("penalty", "dropout_0.3_mlp", **MLP, dropout=0.3),
    _healthy("penalty", "label_smoothing", label_smoothing=0.1),
    _healthy("penalty", "max_norm_3", **NO_NORM, max_norm=3.0, lr=0.02),
    _healthy("penalty", "gradient_clip_1", **NO_NORM, gradient_clip=1.0, lr=0.05),
    # --- code that is unusual, and right ---
    _healthy("code", "log_softmax_and_nll", {"loss": negative_log_likelihood}),
]

HEALTHY: dict[str, Healthy] = {each.name: each for each in _ALL}
