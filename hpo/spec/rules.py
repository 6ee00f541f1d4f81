"""Combinations of hyperparameters that cannot be trained, refused when the study file is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Rule:
    """A contradiction between fields: ``broken`` says whether the values of ``fields`` clash."""

    fields: tuple[str, ...]
    broken: Callable[[Values], bool]
    message: Callable[[Values], str]


MODEL_DEPTHS: dict[str, tuple[Callable[[int], bool], str]] = {
    "convnet": (lambda d: d <= 20, "use 1 to 20 convolutions"),
    "vgg": (lambda d: d in (6, 8, 11, 13), "use 6, 8, 11 or 13"),
    "resnet": (lambda d: d >= 8 and (d - 2) % 6 == 0, "use 6n + 2: 8, 14, 20, 26, 32 ..."),
    "fitnet": (lambda d: d == 17, "FitNet-4 has 17 layers: leave depth out"),
    "airbench": (lambda d: d == 7, "airbench has 7 convolutions: leave depth out"),
    "mlp": (lambda d: d <= 50, "use 1 to 50 hidden layers"),
}
"""The bundled models: which depths each can have, and how to say so."""

RULES: tuple[Rule, ...] = (
    Rule(
        ("warmup_epochs", "epochs"),
        lambda v: bool(v["warmup_epochs"] > v["epochs"]),
        lambda v: (
            f"a warm-up of {v['warmup_epochs']:g} epochs is longer than the training ({v['epochs']} epochs)"
        ),
    ),
    Rule(
        ("nesterov", "optimizer", "momentum"),
        lambda v: bool(v["nesterov"] and v["optimizer"] == "sgd" and v["momentum"] == 0),
        lambda v: "nesterov needs momentum above 0",
    ),
    Rule(
        ("dataset", "data_root"),
        lambda v: v["dataset"] == "folder" and not v["data_root"],
        lambda v: "dataset: folder needs data_root, the folder that holds train/<class>/",
    ),
    Rule(
        ("schedule", "lr_decay"),
        lambda v: v["schedule"] in ("step", "exponential") and v["lr_decay"] > 1,
        lambda v: f"lr_decay {v['lr_decay']:g} would raise lr under schedule: {v['schedule']}; use 1 or less",
    ),
    Rule(
        ("batch_size", "train_images"),
        lambda v: v["train_images"] is not None and v["batch_size"] > v["train_images"],
        lambda v: f"batch_size {v['batch_size']} is larger than train_images {v['train_images']}",
    ),
    Rule(
        ("batch_size", "batch_norm", "norm"),
        lambda v: v["batch_size"] == 1 and v["batch_norm"] != "none" and v["norm"] == "batch",
        lambda v: "batch normalization needs batch_size of 2 or more",
    ),
    Rule(
        ("preprocessing", "pca_components", "train_images"),
        lambda v: (
            v["preprocessing"] in ("pca", "whiten")
            and v["train_images"] is not None
            and v["pca_components"] > v["train_images"]
        ),
        lambda v: (
            f"pca_components {v['pca_components']} is more than {v['train_images']} train_images determine"
        ),
    ),
    Rule(
        ("model", "depth"),
        lambda v: (
            v["depth"] is not None
            and v["model"] in MODEL_DEPTHS
            and not MODEL_DEPTHS[v["model"]][0](v["depth"])
        ),
        lambda v: f"model {v['model']} has no depth {v['depth']}; {MODEL_DEPTHS[v['model']][1]}",
    ),
)


def broken_rules(values: Values) -> list[str]:
    """The message of each rule that a complete set of values breaks."""
    return [rule.message(values) for rule in RULES if rule.broken(values)]
