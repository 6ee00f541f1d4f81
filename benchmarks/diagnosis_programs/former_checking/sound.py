"""Programs that train well, on other networks and with other settings than those of ``healthy``."""

from __future__ import annotations

import torch
from torch import nn

from diagnosis_programs.bases import LENET, PLAIN_ADAM, SEPARABLE
from diagnosis_programs.sound import Healthy, healthy
from diagnosis_programs.tuning.mistakes_in_model import changed
from diagnosis_programs.tuning.mistakes_in_step import squared_error
from hpo.models.initializers import weight_layers


@torch.no_grad()
def _zero_classifier(model: nn.Module) -> nn.Module:
    """The last layer starts at 0, so that every class is equally likely; only hidden ones must not."""
    weight_layers(model)[-1].weight.zero_()
    return model


SOUND: list[Healthy] = [
    healthy("activation", "rrelu", activation="rrelu"),
    healthy(
        "activation", "sigmoid_layer_norm", activation="sigmoid", norm="layer", optimizer="adam", lr=3e-3
    ),
    healthy(
        "initializer",
        "he_uniform_rmsprop",
        init_distribution="uniform",
        batch_norm="after",
        optimizer="rmsprop",
        lr=2e-4,
        warmup_epochs=0.25,
    ),
    healthy("initializer", "zero_classifier", {"build": changed(_zero_classifier)}),
    healthy(
        "norm",
        "tanh_layer_norm_after",
        activation="tanh",
        initializer="xavier",
        norm="layer",
        batch_norm="after",
        optimizer="adamw",
        lr=2e-3,
    ),
    healthy("optimizer", "adam_short_memory", optimizer="adam", beta1=0.5, beta2=0.95, lr=2e-3),
    healthy(
        "schedule",
        "one_cycle_clipped",
        batch_norm="none",
        schedule="one_cycle",
        momentum=0.95,
        nesterov=True,
        gradient_clip=5.0,
        lr=0.015,
    ),
    healthy("schedule", "cosine_with_a_floor", final_lr_fraction=0.3, momentum=0.8, lr=0.1),
    healthy("network", "fitnet", model="fitnet", depth=None, lr=0.05, warmup_epochs=0.5),
    healthy("network", "lenet", **LENET, activation="lecun_tanh", initializer="lecun", lr=0.015),
    healthy("network", "separable_adam", **SEPARABLE, optimizer="adam", lr=5e-3),
    healthy(
        "network", "one_wide_layer", **{**PLAIN_ADAM, "model": "mlp", "depth": 1, "width": 32, "lr": 3e-4}
    ),
    healthy("batch", "silu_batch_24", **PLAIN_ADAM, activation="silu", batch_size=24, lr=1e-3),
    healthy(
        "images",
        "zero_center_flip_crop",
        preprocessing="zero_center",
        augmentation="flip_crop",
        augmentation_strength=0.5,
        batch_size=40,
    ),
    healthy("penalty", "several_mild_ones", dropout=0.05, dropout_kind="spatial", l1=1e-5, max_norm=4.0),
    healthy("code", "squared_error", {"loss": squared_error}, lr=0.02),
]
