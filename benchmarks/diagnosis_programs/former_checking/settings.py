"""Faults of hyperparameters and of how weights start, on other networks and optimizers."""

from __future__ import annotations

from torch import nn

from diagnosis_programs.fault import Fault
from diagnosis_programs.tuning import mistakes_in_model as model
from diagnosis_programs.tuning import mistakes_in_step as step

_RATES = [
    Fault("lr_x1000_separable", "rate", "separable_bn", ("lr_too_high",), {"lr": 100.0}),
    Fault("lr_x30_layer_norm", "rate", "gelu_layer_norm", ("lr_too_high",), {"lr": 0.06}),
    Fault("lr_by_1000_selu", "rate", "selu_mlp", ("lr_too_low",), {"lr": 5e-6}),
    Fault("lr_by_1000_adagrad", "rate", "maxout_adagrad", ("lr_too_low",), {"lr": 1e-5}),
    # A factor above 1 makes the rate grow: it is a mistake in the schedule, and seen as far too high a rate.
    Fault(
        "rate_grows",
        "rate",
        "centred_adam",
        ("lr_too_high", "schedule"),
        {"schedule": "exponential", "lr_decay": 10.0},
    ),
    Fault(
        "momentum_0.999_rmsprop",
        "rate",
        "strided_rmsprop",
        ("momentum_too_high", "lr_too_high"),
        {"momentum": 0.999},
    ),
    Fault(
        "linear_over_ten_steps",
        "schedule",
        "silu_vgg",
        ("schedule",),
        parts={"lr": step.linear_over_ten_steps},
        cured_by=("schedule",),
    ),
]

_STARTS = [
    # With every scale at 0 all units of a layer are alike, and none is ever above 0.
    Fault(
        "zero_norm_scales",
        "start",
        "fitnet_bn",
        ("bad_init", "symmetric_units", "dead_units"),
        parts={"build": model.changed(model.zero_scales)},
        cured_by=("initializer",),
    ),
    Fault(
        "constant_weights_layer_norm",
        "start",
        "gelu_layer_norm",
        ("symmetric_units", "bad_init"),
        {"initializer": "constant", "init_constant": 0.05},
    ),
    Fault(
        "deviation_without_root",
        "start",
        "selu_mlp",
        ("bad_init", "vanishing_gradients"),
        parts={"build": model.changed(model.deviation_without_root)},
        cured_by=("initializer",),
    ),
    Fault(
        "between_minus_one_and_one",
        "start",
        "strided_rmsprop",
        ("bad_init", "exploding_gradients"),
        parts={"build": model.changed(model.between_minus_one_and_one)},
        cured_by=("initializer",),
    ),
    Fault(
        "one_dead_layer",
        "start",
        "centred_adam",
        ("dead_units", "bad_init"),
        parts={"build": model.changed(model.one_dead_layer)},
        fixes=("fix_bias",),
        cured_by=("initializer",),
    ),
]

_PENALTIES = [
    Fault("dropout_0.95_vgg", "penalty", "silu_vgg", ("over_regularized",), {"dropout": 0.95}),
    # Dropout as it is meant for hidden units, or noise on the images: the same thing.
    Fault(
        "dropped_pixels",
        "penalty",
        "centred_adam",
        ("over_regularized", "augmentation"),
        parts={"build": model.changed(lambda network: nn.Sequential(nn.Dropout(0.95), network))},
        fixes=("weaken_augmentation",),
        cured_by=("dropout",),
    ),
    Fault(
        "weight_decay_1_separable", "penalty", "separable_bn", ("over_regularized",), {"weight_decay": 1.0}
    ),
]

SETTINGS: list[Fault] = [*_RATES, *_STARTS, *_PENALTIES]
