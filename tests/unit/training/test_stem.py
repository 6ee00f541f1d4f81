"""Whitened patches in a training: when they are trained, and what they are fitted to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from hpo.config.configuration import Configuration
from hpo.data.datasets import Dataset
from hpo.models.whitening import WhitenedPatches, patch_components
from hpo.rng import Key
from hpo.training.data import TrialData
from hpo.training.loop import train
from hpo.training.setup import TrialSetup, prepare

Make = Callable[..., tuple[Configuration, TrialData]]
KEY = Key(5)


def _patches(setup: TrialSetup) -> WhitenedPatches:
    return next(each for each in setup.model.modules() if isinstance(each, WhitenedPatches))


def _setup(dataset: Dataset, **fields: Any) -> TrialSetup:
    configuration = Configuration(
        width=2, batch_size=32, epochs=4, precision="fp32", stem="whitened", val_fraction=0.2, **fields
    )
    return prepare(configuration, dataset, KEY / "trial", KEY / "split", torch.device("cpu"))


@pytest.mark.parametrize(
    ("frozen", "biased", "filters_move", "biases_move"),
    [(1.0, 0.3, [], [1]), (0.5, 0.5, [3, 4], [1, 2]), (0.0, 1.0, [1, 2, 3, 4], [1, 2, 3, 4])],
)
def test_filters_and_biases_are_trained_in_their_epochs(
    frozen: float, biased: float, filters_move: list[int], biases_move: list[int], tiny_dataset: Dataset
) -> None:
    setup = _setup(tiny_dataset, stem_frozen_share=frozen, stem_bias_share=biased)
    layer = _patches(setup)
    assert layer.bias is not None
    moved: dict[str, list[int]] = {"filters": [], "biases": []}
    before = layer.weight.detach().clone(), layer.bias.detach().clone()
    for result in train(setup):
        for name, old, new in zip(moved, before, (layer.weight, layer.bias), strict=True):
            if not torch.equal(old, new):
                moved[name].append(result.epoch)
        before = layer.weight.detach().clone(), layer.bias.detach().clone()
    assert moved == {"filters": filters_move, "biases": biases_move}


def test_patches_are_whitened_on_the_training_images_alone(tiny_dataset: Dataset) -> None:
    setup = _setup(tiny_dataset)
    images: Tensor = setup.data.train.first(len(setup.data.train))[0]
    variances, _ = patch_components(images)
    torch.testing.assert_close(_patches(setup).variances, variances.float())
    filters = _patches(setup).weight.flatten(1).norm(dim=1)[:12]
    torch.testing.assert_close(filters, (variances + 5e-4).rsqrt().float())
