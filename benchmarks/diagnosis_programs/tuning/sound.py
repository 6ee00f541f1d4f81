"""Programs that train well, one group for each kind of setting."""

from __future__ import annotations

from typing import Any

from diagnosis_programs.bases import PLAIN_ADAM
from diagnosis_programs.sound import Healthy, healthy
from diagnosis_programs.tuning.mistakes_in_step import negative_log_likelihood

NO_NORM: dict[str, Any] = {"batch_norm": "none"}
MLP: dict[str, Any] = {"model": "mlp", "depth": 2, "batch_norm": "none", "lr": 0.02}

SOUND: list[Healthy] = [
    # --- every activation ---
    healthy("activation", "relu", **NO_NORM, lr=0.02),
    healthy("activation", "leaky_relu", **NO_NORM, activation="leaky_relu", negative_slope=0.1, lr=0.02),
    healthy("activation", "prelu", activation="prelu"),
    healthy("activation", "elu", **NO_NORM, activation="elu", lr=0.02),
    healthy("activation", "selu", **NO_NORM, activation="selu", initializer="lecun", lr=0.01),
    healthy("activation", "gelu", activation="gelu", optimizer="adam", lr=2e-3),
    healthy("activation", "maxout", **NO_NORM, activation="maxout", lr=0.02),
    healthy("activation", "softplus", activation="softplus"),
    healthy("activation", "linear", **NO_NORM, activation="linear", initializer="lecun", lr=0.01),
    healthy("activation", "tanh_xavier", **NO_NORM, activation="tanh", initializer="xavier", lr=0.02),
    healthy("activation", "lecun_tanh", **PLAIN_ADAM, activation="lecun_tanh", initializer="lecun", lr=1e-3),
    healthy("activation", "sigmoid_bn", activation="sigmoid", lr=0.1),
    # --- every initializer ---
    healthy("initializer", "xavier", **NO_NORM, initializer="xavier", lr=0.02),
    healthy("initializer", "lecun", **PLAIN_ADAM, initializer="lecun", lr=2e-3),
    healthy("initializer", "orthogonal", **NO_NORM, initializer="orthogonal", lr=0.02),
    healthy("initializer", "lsuv", **NO_NORM, initializer="lsuv", lr=0.02),
    healthy("initializer", "small_gaussian_bn", initializer="small_gaussian"),
    healthy("initializer", "gaussian_0.05_adam", **PLAIN_ADAM, initializer="gaussian", lr=2e-3),
    # --- normalizations ---
    healthy("norm", "bn_before", lr=0.05),
    healthy("norm", "bn_after", batch_norm="after", lr=0.05),
    healthy("norm", "layer_norm", norm="layer", lr=0.05),
    healthy("norm", "group_norm", norm="group", norm_groups=4, optimizer="adam", lr=2e-3),
    healthy("norm", "bn_momentum_0.01", norm_momentum=0.02, lr=0.02),
    healthy("norm", "bn_batch_16", batch_size=16, lr=0.02),
    # --- optimizers ---
    healthy("optimizer", "sgd_no_momentum", momentum=0.0, lr=0.1),
    healthy("optimizer", "momentum_0.98", momentum=0.98, lr=0.01),
    healthy("optimizer", "momentum_0.5", **NO_NORM, momentum=0.5, lr=0.08),
    healthy("optimizer", "adagrad", optimizer="adagrad", lr=0.02),
    healthy("optimizer", "rmsprop", **{**NO_NORM, "optimizer": "rmsprop", "momentum": 0.0, "lr": 1e-3}),
    healthy("optimizer", "adam", **PLAIN_ADAM, lr=1e-3),
    healthy("optimizer", "adam_large_lr_bn", optimizer="adam", lr=0.02),
    healthy("optimizer", "adamw_decay", optimizer="adamw", weight_decay=0.05, lr=3e-3),
    # --- schedules and rates ---
    healthy("schedule", "constant", schedule="constant", lr=0.02),
    healthy("schedule", "step", schedule="step", step_epochs=2, lr=0.05),
    healthy("schedule", "exponential", **NO_NORM, schedule="exponential", lr_decay=0.6, lr=0.03),
    healthy("schedule", "inverse_time", schedule="inverse_time", lr_decay=0.5, lr=0.05),
    healthy("schedule", "one_cycle", schedule="one_cycle", lr=0.15),
    healthy("schedule", "large_lr_warm_up", warmup_epochs=1.5, lr=0.4),
    healthy("schedule", "slow_but_sound", schedule="constant", lr=3e-3),
    healthy("schedule", "slow_adam", **PLAIN_ADAM, schedule="constant", lr=4e-4),
    # --- widths, depths, networks ---
    healthy("network", "width_4", width=4),
    healthy("network", "vgg_bn", model="vgg", depth=8, lr=0.05),
    healthy("network", "vgg_deep_bn", model="vgg", depth=11, activation="leaky_relu", lr=0.05),
    healthy("network", "convnet_5", **NO_NORM, depth=5, lr=0.02),
    healthy("network", "convnet_8", depth=8, lr=0.05),
    healthy("network", "resnet", model="resnet", depth=8, width=4, optimizer="adam", lr=0.02),
    healthy("network", "mlp", **MLP),
    healthy(
        "network",
        "mlp_selu_deep",
        **{**MLP, "depth": 8, "activation": "selu", "initializer": "lecun", "lr": 5e-3},
    ),
    # --- batch sizes ---
    healthy("batch", "batch_8", **{**NO_NORM, "batch_size": 8, "lr": 3e-3}),
    healthy("batch", "batch_16_adam", **PLAIN_ADAM, batch_size=16, lr=7e-4),
    healthy("batch", "batch_200", batch_size=200, lr=0.1),
    healthy("batch", "batch_128_adam", **PLAIN_ADAM, batch_size=128, lr=3e-3),
    # --- preprocessing and augmentation ---
    healthy("images", "none", preprocessing="none", lr=0.05),
    healthy("images", "standardize_pixel", **NO_NORM, preprocessing="standardize_pixel", lr=0.02),
    healthy("images", "minmax", **PLAIN_ADAM, preprocessing="minmax", lr=2e-3),
    healthy("images", "whiten", **NO_NORM, preprocessing="whiten", lr=0.02),
    healthy("images", "zca", preprocessing="zca"),
    healthy("images", "flip", augmentation="flip"),
    healthy("images", "flip_crop", augmentation="flip_crop", optimizer="adam", lr=3e-3),
    healthy("images", "cutout_x1.5", augmentation="flip_crop_cutout", augmentation_strength=1.5),
    # --- regularization ---
    healthy("penalty", "tiny_weight_decay", weight_decay=1e-8),
    healthy("penalty", "weight_decay_0.01", weight_decay=0.01),
    healthy("penalty", "dropout_0.3", **NO_NORM, dropout=0.3, lr=0.02),
    healthy("penalty", "dropout_0.3_mlp", **MLP, dropout=0.3),
    healthy("penalty", "label_smoothing", label_smoothing=0.1),
    healthy("penalty", "max_norm_3", **NO_NORM, max_norm=3.0, lr=0.02),
    healthy("penalty", "gradient_clip_1", **NO_NORM, gradient_clip=1.0, lr=0.05),
    # --- code that is unusual, and right ---
    healthy("code", "log_softmax_and_nll", {"loss": negative_log_likelihood}),
]
