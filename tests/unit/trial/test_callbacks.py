"""What the babysitter of a trial gets."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from hpo.config.configuration import Configuration
from hpo.config.image_format import STANDARD
from hpo.config.thresholds import Thresholds
from hpo.data.datasets import Dataset
from hpo.models.catalog import MODELS
from hpo.models.options import NetworkOptions
from hpo.rng import Key
from hpo.training.model_factory import check_model
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


def build_flat(options: NetworkOptions, *, in_shape: tuple[int, ...], classes: int) -> nn.Module:
    """A network that reads one option."""
    return nn.Sequential(nn.Flatten(), nn.Dropout(options.dropout), nn.Linear(3072, classes))


def build_bundled(options: NetworkOptions, *, in_shape: tuple[int, ...], classes: int) -> nn.Module:
    return MODELS["mlp"](options, in_shape=in_shape, classes=classes)


def test_settings_of_a_users_network_are_the_options_that_it_reads() -> None:
    own = Configuration(model=f"{__name__}:build_flat", width=4, dropout=0.1)
    found = _settings(own, check_model(own, classes=3, in_shape=STANDARD.shape))
    assert {"model", "dropout", "lr", "batch_size"} <= set(found)
    assert not {"width", "depth", "batch_norm", "activation", "initializer"} & set(found)
    bundled = Configuration(model=f"{__name__}:build_bundled", width=4)
    assert {"width", "activation"} <= set(
        _settings(bundled, check_model(bundled, classes=3, in_shape=STANDARD.shape))
    )
    plain = Configuration(model="mlp", width=4)
    assert _settings(plain, check_model(plain, classes=3, in_shape=STANDARD.shape)) == plain.applicable()


def test_less_memory_lowers_what_there_is() -> None:
    assert less_memory(Configuration()) == "lower batch_size or width"
    assert less_memory(Configuration(model="mine:build")) == "lower batch_size"
    assert less_memory(Configuration(model="mine:build", batch_size=1)) == "use a smaller network"
