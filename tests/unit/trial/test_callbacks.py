"""What the babysitter of a trial is told."""

from __future__ import annotations

import numpy as np
import torch

from hpo.config.configuration import Configuration
from hpo.config.thresholds import Thresholds
from hpo.data.datasets import Dataset
from hpo.rng import Key
from hpo.training.setup import prepare
from hpo.trial.callbacks import _settings, less_memory, make_babysitter


def test_babysitter_of_a_trial_knows_the_names_of_its_classes() -> None:
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [12, 4, 4])
    images = random.integers(0, 256, (20, 3, 32, 32), np.uint8)
    images.setflags(write=False)
    names = ("eel", "robin", "wren")
    dataset = Dataset("folder", names, images, labels, images[:9], labels[:9], "f" * 64, "made for a test")
    configuration = Configuration(
        model="mlp", width=2, dataset="synthetic", augmentation="none", val_fraction=0.5
    )
    trial = prepare(configuration, dataset, Key(0), Key(1), torch.device("cpu"))
    with make_babysitter(trial, Thresholds()) as babysitter:
        assert babysitter.seen.setup.class_names == names


def test_settings_of_a_users_network_are_those_that_the_study_sets() -> None:
    own = Configuration(model="mine:build", depth=3, batch_size=1)
    assert _settings(own)["depth"] == 3 and "width" not in _settings(own) and "lr" in _settings(own)
    assert _settings(Configuration()) == Configuration().applicable()


def test_less_memory_lowers_what_there_is() -> None:
    assert less_memory(Configuration()) == "lower batch_size or width"
    assert less_memory(Configuration(model="mine:build")) == "lower batch_size"
    assert less_memory(Configuration(model="mine:build", batch_size=1)) == "use a smaller network"
