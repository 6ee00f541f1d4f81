"""The sound programs that faults are put into, and what any program here starts from."""

from __future__ import annotations

from typing import Any

from diagnosis_programs.program import Program
from hpo.spec.configuration import Configuration

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
}
