"""The sound programs that faults are put into, and what any program here starts from."""

from __future__ import annotations

from typing import Any

from diagnosis_programs.program import Program
from hpo.config.configuration import Configuration

COMMON: dict[str, Any] = {
    "train_images": 3_000,
    "batch_size": 50,
    "width": 8,
    "depth": 3,
    "epochs": 4,
    "augmentation": "none",  # in so few steps it only slows learning
}


def program(**fields: Any) -> Program:
    """A sound program with these fields of the configuration beside the common ones."""
    return Program(Configuration(**{**COMMON, **fields}))


PLAIN_ADAM: dict[str, Any] = {"batch_norm": "none", "optimizer": "adam"}


def _own(network: str, width: int) -> dict[str, Any]:
    return {"model": f"diagnosis_programs.former_checking.networks:{network}", "depth": None, "width": width}


LENET: dict[str, Any] = {**_own("lenet", 8), "batch_norm": "none"}
STRIDED: dict[str, Any] = {**_own("strided", 12), "batch_norm": "none"}
SEPARABLE: dict[str, Any] = _own("separable", 16)


def checking_network(network: str, width: int) -> dict[str, Any]:
    """Fields of the configuration for a network of the checking half."""
    return {"model": f"diagnosis_programs.checking.networks:{network}", "depth": None, "width": width}


BASES: dict[str, Program] = {
    "relu": program(batch_norm="none", lr=0.02),
    "relu_bn": program(lr=0.05),
    "relu_adam": program(**PLAIN_ADAM, lr=2e-3),
    "leaky_adamw": program(activation="leaky_relu", batch_norm="after", optimizer="adamw", lr=3e-3),
    "elu_vgg": program(model="vgg", depth=6, activation="elu", batch_norm="none", lr=0.02),
    "deep_bn": program(model="vgg", depth=11, lr=0.05),
    "mlp": program(model="mlp", depth=2, batch_norm="none", lr=0.02),
    "tanh_mlp": program(**PLAIN_ADAM, model="mlp", depth=6, activation="tanh", initializer="xavier", lr=1e-3),
    "resnet": program(model="resnet", depth=8, width=4, lr=0.1),
    # Those of the folder former_checking.
    "fitnet_bn": program(model="fitnet", depth=None, lr=0.05),
    "gelu_layer_norm": program(
        activation="gelu", norm="layer", optimizer="adamw", lr=2e-3, depth=4, width=12, batch_size=40
    ),
    "lenet_tanh": program(**LENET, activation="tanh", initializer="xavier", lr=0.02, batch_size=40),
    "strided_rmsprop": program(
        **STRIDED, activation="leaky_relu", optimizer="rmsprop", lr=1e-4, warmup_epochs=0.25
    ),
    "separable_bn": program(**SEPARABLE, lr=0.1, nesterov=True),
    "resnet14_group_norm": program(
        model="resnet", depth=14, width=4, norm="group", norm_groups=2, lr=0.05, batch_size=60
    ),
    "selu_mlp": program(
        model="mlp", depth=5, activation="selu", initializer="lecun", batch_norm="none", lr=5e-3
    ),
    "silu_vgg": program(model="vgg", depth=8, width=6, activation="silu", optimizer="adam", lr=2e-3),
    "centred_adam": program(**PLAIN_ADAM, preprocessing="per_channel_center", depth=2, width=16, lr=1e-3),
    "maxout_adagrad": program(
        activation="maxout", batch_norm="none", optimizer="adagrad", width=6, lr=0.01, batch_size=30
    ),
    # Those of the checking half.
    "nin_step": program(
        **checking_network("nin", 12),
        nesterov=True,
        schedule="step",
        step_epochs=2,
        lr_decay=0.2,
        lr=0.08,
        batch_size=64,
    ),
    "inception_one_cycle": program(
        **checking_network("inception", 8),
        batch_norm="after",
        optimizer="adamw",
        schedule="one_cycle",
        lr=4e-3,
        batch_size=32,
    ),
    "densenet_elu": program(
        **checking_network("densenet", 12),
        activation="elu",
        optimizer="rmsprop",
        momentum=0.0,
        schedule="exponential",
        lr_decay=0.6,
        lr=1e-3,
        batch_size=48,
    ),
    "convmixer": program(
        **{**checking_network("convmixer", 32), "depth": 3},
        activation="gelu",
        batch_norm="after",
        optimizer="adamw",
        weight_decay=0.02,
        warmup_epochs=0.5,
        lr=5e-3,
    ),
    "preact": program(
        **checking_network("preact", 12),
        activation="leaky_relu",
        negative_slope=0.1,
        schedule="inverse_time",
        lr_decay=0.5,
        lr=0.1,
        batch_size=75,
    ),
    "alexnet_minmax": program(
        **checking_network("alexnet", 12),
        batch_norm="none",
        dropout=0.1,
        optimizer="adam",
        schedule="constant",
        preprocessing="minmax",
        lr=2e-3,
        batch_size=24,
    ),
    "lecun_tanh": program(
        activation="lecun_tanh",
        initializer="lecun",
        batch_norm="none",
        preprocessing="per_channel_center",
        nesterov=True,
        schedule="exponential",
        lr_decay=0.5,
        depth=4,
        lr=0.02,
        batch_size=32,
    ),
    "wide_mlp": program(
        model="mlp",
        depth=3,
        width=16,
        activation="leaky_relu",
        preprocessing="zero_center",
        lr=0.03,
        batch_size=100,
    ),
    "softplus_layer_norm": program(
        activation="softplus", norm="layer", optimizer="adam", beta1=0.8, lr=5e-3, depth=4, batch_size=40
    ),
    "prelu_vgg": program(
        model="vgg",
        depth=6,
        width=8,
        activation="prelu",
        norm="group",
        norm_groups=3,
        momentum=0.95,
        preprocessing="standardize_pixel",
        lr=0.04,
        batch_size=60,
    ),
    "lsuv": program(
        initializer="lsuv",
        batch_norm="none",
        momentum=0.5,
        schedule="constant",
        gradient_clip=2.0,
        depth=5,
        lr=0.05,
        batch_size=30,
    ),
    "orthogonal_mlp": program(
        **PLAIN_ADAM,
        model="mlp",
        depth=4,
        initializer="orthogonal",
        label_smoothing=0.1,
        lr=5e-4,
        batch_size=64,
    ),
    "lenet_adagrad": program(
        **{**LENET, "width": 10}, activation="silu", optimizer="adagrad", lr=0.01, batch_size=20
    ),
}
