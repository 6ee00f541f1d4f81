"""A tiny data set: ten classes told apart by which row of pixels is bright."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from hpo.config.configuration import Configuration
from hpo.data.datasets import Dataset
from hpo.data.split import Split
from hpo.training.data import TrialData, make_trial_data

TRAIN, VAL = 96, 40


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """These networks are too small for more, and a second thread waits where the machine is busy."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_dataset() -> Dataset:
    """96 + 40 training images and 20 test images, classes in turn."""
    random = np.random.default_rng(0)
    labels = np.arange(TRAIN + VAL, dtype=np.int64) % 10
    images = random.integers(0, 120, (TRAIN + VAL, 3, 32, 32)).astype(np.uint8)
    images[np.arange(len(labels)), :, labels * 3, :] = 255
    images.setflags(write=False)
    return Dataset(
        name="synthetic",
        classes=tuple("abcdefghij"),
        train_images=images,
        train_labels=labels,
        test_images=images[:20],
        test_labels=labels[:20],
        fingerprint="tiny",
        origin="made for a test",
    )


@pytest.fixture(scope="session")
def tiny_split() -> Split:
    return Split(train=np.arange(TRAIN, dtype=np.int64), val=np.arange(TRAIN, TRAIN + VAL, dtype=np.int64))


@pytest.fixture(scope="session")
def make_tiny(tiny_dataset: Dataset, tiny_split: Split) -> Callable[..., tuple[Configuration, TrialData]]:
    """``make_tiny(lr=..., epochs=...)``: a small, quick configuration and its data."""

    def make(**fields: Any) -> tuple[Configuration, TrialData]:
        defaults = {"width": 4, "batch_size": 32, "epochs": 2, "augmentation": "none", "dataset": "synthetic"}
        configuration = Configuration(**{**defaults, **fields})
        return configuration, make_trial_data(configuration, tiny_dataset, tiny_split, torch.device("cpu"))

    return make
