"""Train small configurations and print the hashes of their weights; test_loop runs it in two processes."""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import torch

from hpo.config.configuration import Configuration
from hpo.config.image_format import STANDARD
from hpo.data.datasets import Dataset
from hpo.data.split import Split
from hpo.rng import Key
from hpo.training.data import make_trial_data, weights_hash
from hpo.training.device import prepare_process
from hpo.training.loop import train
from hpo.training.model_factory import build_model
from hpo.training.precision import Resolved
from hpo.training.setup import TrialSetup

FIELDS: list[dict[str, Any]] = [
    {"activation": "relu"},
    {"activation": "maxout", "batch_norm": "after"},
    {"activation": "rrelu", "batch_norm": "none"},
    {"activation": "prelu", "dropout": 0.3, "optimizer": "adam", "lr": 1e-3},
    {"activation": "elu", "initializer": "lsuv", "dropout": 0.2, "dropout_kind": "spatial"},
    {
        "augmentation": "flip_crop_cutout",
        "label_smoothing": 0.1,
        "max_norm": 2.0,
        "l1": 1e-5,
        "nesterov": True,
    },
]


def _hash(fields: dict[str, Any], precision: Resolved) -> str:
    configuration = Configuration(**{"width": 4, "batch_size": 32, "epochs": 1, **fields})
    images = np.random.default_rng(0).integers(0, 256, (80, 3, 32, 32)).astype(np.uint8)
    labels = np.arange(80, dtype=np.int64) % 10
    dataset = Dataset(
        name="synthetic",
        classes=tuple("abcdefghij"),
        train_images=images,
        train_labels=labels,
        test_images=images,
        test_labels=labels,
        fingerprint="repeated",
        origin="made for a test",
    )
    device, key = torch.device("cpu"), Key(11) / "trial" / 3
    data = make_trial_data(configuration, dataset, Split(train=np.arange(64), val=np.arange(64, 80)), device)
    model = build_model(
        configuration,
        classes=10,
        in_shape=STANDARD.shape,
        key=key / "weights",
        sample=data.train.first(32)[0],
    )
    setup = TrialSetup.of(configuration, model, data, key, device, precision)
    list(train(setup))
    return weights_hash(setup.model)


def hashes() -> list[str]:
    """The weights' hash after each configuration in bf16, and before them after the first in fp32."""
    return [_hash(FIELDS[0], "fp32"), *(_hash(fields, "bf16") for fields in FIELDS)]


if __name__ == "__main__":
    prepare_process(threads=int(sys.argv[1]))
    json.dump(hashes(), sys.stdout)
