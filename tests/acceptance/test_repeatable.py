"""The same configuration trained in two processes gives the same weights, bit for bit, on the CPU."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from hpo.config.configuration import Activation, Configuration
from tests.helpers import forked

SMALLEST = {
    "convnet": 2,
    "vgg": 6,
    "resnet": 8,
    "fitnet": None,
    "airbench": None,
    "airbench94": None,
    "mlp": 2,
}

TRAIN = """
import json, sys
import numpy as np
import torch

from hpo.data.datasets import Dataset
from hpo.data.split import Split
from hpo.training.model_factory import build_model
from hpo.rng import Key
from hpo.config.configuration import Configuration
from hpo.training.device import prepare_process
from hpo.training.loop import train
from hpo.training.setup import TrialSetup
from hpo.training.data import make_trial_data, weights_hash

prepare_process(threads=1)
rng = np.random.default_rng(0)
images = rng.integers(0, 256, (24, 3, 32, 32), dtype=np.uint8)
labels = np.arange(24) % 4
dataset = Dataset("noise", tuple("abcd"), images, labels, images, labels, "0" * 64, "noise")
rows = Split(np.arange(16), np.arange(16, 24))
device = torch.device("cpu")
for line in sys.stdin:
    configuration = Configuration(**json.loads(line))
    data = make_trial_data(configuration, dataset, rows, device)
    key = Key(1) / "trial" / 0
    shape, sample = data.image_shape, data.train.first(16)[0]
    model = build_model(configuration, classes=4, in_shape=shape, key=key / "weights", sample=sample)
    for epoch in train(TrialSetup.of(configuration, model, data, key, device, configuration.precision)):
        pass
    print(weights_hash(model))
"""


def _configurations() -> list[Configuration]:
    return [
        Configuration(
            model=model,
            depth=depth,
            width=2,
            activation=activation,
            initializer="lsuv",
            dropout=0.2,
            dropout_kind="spatial",
            augmentation="flip_crop_cutout",
            batch_size=8,
            epochs=1,
            precision=precision,
        )
        for model, depth in SMALLEST.items()
        for activation in get_args(Activation)
        for precision in ("fp32", "bf16" if activation in ("relu", "maxout") else None)
        if precision
    ]


def _hashes(configurations: list[Configuration]) -> list[str]:
    lines = "\n".join(json.dumps(each.model_dump()) for each in configurations)
    done = forked.run(["-c", TRAIN], input=lines, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.slow
def test_every_model_and_activation_trains_to_the_same_weights_twice() -> None:
    configurations = _configurations()
    first, second = _hashes(configurations), _hashes(configurations[::-1])[::-1]
    assert len(set(first)) == len(configurations) == len(first)
    assert first == second
