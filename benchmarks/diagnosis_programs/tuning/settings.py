"""Faults of hyperparameters and of how weights start."""

from __future__ import annotations

from diagnosis_programs.fault import Fault
from diagnosis_programs.tuning import mistakes_in_model as model
from diagnosis_programs.tuning import mistakes_in_step as step

_RATES = [
    Fault("lr_x1000", "rate", "relu", ("lr_too_high",), {"lr": 20.0}),
    Fault("lr_x1000_batch_norm", "rate", "deep_bn", ("lr_too_high",), {"lr": 50.0}),
    Fault("lr_x30", "rate", "elu_vgg", ("lr_too_high",), {"lr": 0.6}),
    Fault("lr_x30_adam", "rate", "relu_adam", ("lr_too_high",), {"lr": 0.06}),
    Fault("lr_x100_adamw", "rate", "leaky_adamw", ("lr_too_high",), {"lr": 0.3}),
    Fault("lr_by_1000", "rate", "relu", ("lr_too_low",), {"lr": 2e-5}),
    Fault("lr_by_1000_adam", "rate", "relu_adam", ("lr_too_low",), {"lr": 2e-6}),
    Fault("lr_by_100_batch_norm", "rate", "relu_bn", ("lr_too_low",), {"lr": 5e-4}),
    # Adam divides by its epsilon instead of the gradients' size: every step is a thousand times smaller.
    Fault("adam_epsilon_10", "rate", "relu_adam", ("lr_too_low",), {"optimizer_epsilon": 10.0}),
    # With momentum m a step adds up to lr / (1 - m): here a hundred times that of the base.
    Fault("momentum_0.999", "rate", "relu_bn", ("momentum_too_high", "lr_too_high"), {"momentum": 0.999}),
]

_SCHEDULES = [
    Fault("decays_at_once", "schedule", "relu", ("schedule",), {"schedule": "exponential", "lr_decay": 1e-4}),
    Fault(
        "inverse_time_1e5",
        "schedule",
        "relu_bn",
        ("schedule",),
        {"schedule": "inverse_time", "lr_decay": 1e5},
    ),
    Fault(
        "stepped_every_batch",
        "schedule",
        "elu_vgg",
        ("schedule",),
        parts={"lr": step.stepped_every_batch},
        cured_by=("schedule",),
    ),
    # A tiny limit is a tiny learning rate by another name.
    Fault("clip_1e-5", "schedule", "relu", ("schedule", "lr_too_low"), {"gradient_clip": 1e-5}),
    Fault("whole_set_a_batch", "schedule", "relu", ("batch_size",), {"batch_size": 3_000}),
    Fault("batch_1000_adam", "schedule", "relu_adam", ("batch_size",), {"batch_size": 1_000}),
]

# All weights equal is a bad start because units stay equal: both names are right for zeros and constants.
_STARTS = [
    Fault("zero_weights", "start", "relu", ("bad_init", "symmetric_units"), {"initializer": "zeros"}),
    Fault(
        "constant_weights",
        "start",
        "mlp",
        ("symmetric_units", "bad_init"),
        {"initializer": "constant", "init_constant": 0.02},
    ),
    Fault(
        "identical_filters",
        "start",
        "relu_bn",
        ("symmetric_units", "bad_init"),
        parts={"build": model.changed(model.identical_filters)},
        cured_by=("initializer",),
    ),
    # Signals shrink in every layer, and gradients with them.
    Fault(
        "small_weights",
        "start",
        "relu",
        ("bad_init", "vanishing_gradients"),
        {"initializer": "small_gaussian"},
    ),
    Fault(
        "large_weights",
        "start",
        "relu",
        ("bad_init", "exploding_gradients"),
        {"initializer": "gaussian", "init_std": 1.0},
    ),
    Fault(
        "large_weights_tanh",
        "start",
        "tanh_mlp",
        ("bad_init", "saturated_units"),
        {"initializer": "gaussian", "init_std": 1.0},
    ),
    Fault(
        "weights_x10",
        "start",
        "elu_vgg",
        ("bad_init", "exploding_gradients"),
        parts={"build": model.scaled_weights(10.0)},
        cured_by=("initializer",),
    ),
    Fault(
        "dead_biases",
        "start",
        "relu",
        ("dead_units", "bad_init"),
        parts={"build": model.changed(model.dead_biases)},
        fixes=("fix_bias",),
        cured_by=("initializer",),
    ),
    Fault(
        "dead_norm_shifts",
        "start",
        "deep_bn",
        ("dead_units", "bad_init"),
        parts={"build": model.changed(model.dead_shifts)},
        fixes=("fix_bias",),
        cured_by=("initializer",),
    ),
    Fault(
        "nan_weight",
        "start",
        "relu_adam",
        ("bad_init",),
        parts={"build": model.changed(model.broken_weights)},
        cured_by=("initializer",),
    ),
]

_PENALTIES = [
    Fault("weight_decay_1", "penalty", "relu", ("over_regularized",), {"weight_decay": 1.0}),
    Fault("l1_0.1", "penalty", "elu_vgg", ("over_regularized",), {"l1": 0.1}),
    Fault("dropout_0.95", "penalty", "mlp", ("over_regularized",), {"dropout": 0.95}),
    Fault(
        "spatial_dropout_0.8",
        "penalty",
        "relu_bn",
        ("over_regularized",),
        {"dropout": 0.8, "dropout_kind": "spatial"},
    ),
    Fault("label_smoothing_0.99", "penalty", "relu", ("over_regularized",), {"label_smoothing": 0.99}),
]

SETTINGS: list[Fault] = [*_RATES, *_SCHEDULES, *_STARTS, *_PENALTIES]
