"""The checking half: faults of hyperparameters and of how weights start."""

from __future__ import annotations

from diagnosis_programs.checking import mistakes_in_model as model
from diagnosis_programs.checking import mistakes_in_step as step
from diagnosis_programs.fault import Fault
from diagnosis_programs.tuning.mistakes_in_model import changed

_RATES = [
    Fault("lr_x1000_nin", "rate", "nin_step", ("lr_too_high",), {"lr": 80.0}),
    Fault("lr_x30_lsuv", "rate", "lsuv", ("lr_too_high",), {"lr": 1.5}),
    Fault("adam_at_0.1", "rate", "alexnet_minmax", ("lr_too_high",), {"lr": 0.1}),
    Fault("lr_x30_softplus", "rate", "softplus_layer_norm", ("lr_too_high",), {"lr": 0.15}),
    Fault("lr_by_1000_lecun_tanh", "rate", "lecun_tanh", ("lr_too_low",), {"lr": 2e-5}),
    Fault("lr_by_1000_one_cycle", "rate", "inception_one_cycle", ("lr_too_low",), {"lr": 4e-6}),
    Fault("lr_by_200_mlp", "rate", "orthogonal_mlp", ("lr_too_low",), {"lr": 2.5e-6}),
    # Published with RMSprop for Inception, whose rate was thousands of times this one.
    Fault("rmsprop_epsilon_1", "rate", "densenet_elu", ("lr_too_low",), {"optimizer_epsilon": 1.0}),
    Fault(
        "momentum_0.999_preact", "rate", "preact", ("momentum_too_high", "lr_too_high"), {"momentum": 0.999}
    ),
    # The two betas of Adam in each other's place, one digit more.
    Fault(
        "betas_swapped",
        "rate",
        "softplus_layer_norm",
        ("momentum_too_high", "lr_too_high"),
        {"beta1": 0.9995, "beta2": 0.8},
    ),
]

_SCHEDULES = [
    Fault(
        "plateau_of_a_maximum",
        "schedule",
        "wide_mlp",
        ("schedule",),
        parts={"lr": step.plateau_of_a_maximum},
        cured_by=("schedule",),
    ),
    Fault(
        "rate_of_transformers",
        "schedule",
        "prelu_vgg",
        ("schedule", "lr_too_low"),
        parts={"lr": step.of_transformers},
        cured_by=("schedule", "warmup_epochs"),
    ),
    Fault("decay_1e-6_each_epoch", "schedule", "lecun_tanh", ("schedule",), {"lr_decay": 1e-6}),
    Fault("batch_1000_nin", "schedule", "nin_step", ("batch_size",), {"batch_size": 1_000}),
    Fault("clip_1e-3", "schedule", "lsuv", ("schedule", "lr_too_low"), {"gradient_clip": 1e-3}),
]

_STARTS = [
    Fault(
        "zeros_softplus",
        "start",
        "softplus_layer_norm",
        ("bad_init", "symmetric_units"),
        {"initializer": "zeros"},
    ),
    Fault(
        "ones",
        "start",
        "alexnet_minmax",
        ("symmetric_units", "bad_init"),
        {"initializer": "constant", "init_constant": 1.0},
    ),
    Fault(
        "gaussian_1e-4",
        "start",
        "lecun_tanh",
        ("bad_init", "vanishing_gradients"),
        {"initializer": "gaussian", "init_std": 1e-4},
    ),
    Fault(
        "gaussian_2_lenet",
        "start",
        "lenet_adagrad",
        ("bad_init", "exploding_gradients"),
        {"initializer": "gaussian", "init_std": 2.0},
    ),
    *(
        Fault(
            name,
            "start",
            base,
            causes,
            parts={"build": changed(change)},
            fixes=fixes,
            cured_by=("initializer",),
        )
        for name, base, causes, change, fixes in (
            ("times_fan_in", "orthogonal_mlp", ("bad_init", "exploding_gradients"), model.times_fan_in, ()),
            ("below_zero", "alexnet_minmax", ("dead_units", "bad_init"), model.below_zero, ("fix_bias",)),
            (
                "large_classifier",
                "lsuv",
                ("bad_init", "exploding_gradients"),
                model.large_classifier,
                (),
            ),
            (
                "biases_of_minus_3",
                "orthogonal_mlp",
                ("dead_units", "bad_init"),
                model.biases_of_minus_three,
                ("fix_bias",),
            ),
            ("copies_in_scale", "lecun_tanh", ("symmetric_units", "bad_init"), model.copies_in_scale, ()),
        )
    ),
]

_PENALTIES = [
    Fault("dropout_0.95_alexnet", "penalty", "alexnet_minmax", ("over_regularized",), {"dropout": 0.95}),
    # What older frameworks take is the share that is kept.
    Fault("kept_share_as_dropout", "penalty", "wide_mlp", ("over_regularized",), {"dropout": 0.9}),
    Fault("weight_decay_1_tanh", "penalty", "lecun_tanh", ("over_regularized",), {"weight_decay": 1.0}),
    Fault(
        "decoupled_decay_50",
        "penalty",
        "inception_one_cycle",
        ("over_regularized",),
        {"weight_decay": 50.0},
    ),
    Fault("l1_0.03_adagrad", "penalty", "lenet_adagrad", ("over_regularized",), {"l1": 0.03}),
]

SETTINGS: list[Fault] = [*_RATES, *_SCHEDULES, *_STARTS, *_PENALTIES]
