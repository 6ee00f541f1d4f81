"""Every bundled network at every size: it fits, or it is refused with the smallest size."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hpo.models.catalog import MODELS
from hpo.models.layers import Shape, stem
from hpo.models.options import NetworkOptions

SMALLEST = {"airbench": 9, "airbench94": 9, "vgg": 32}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 64, 96), (1, 97, 50), (3, 224, 224)])
def test_network_fits_the_images_or_says_the_smallest_size(model: str, shape: Shape) -> None:
    options = NetworkOptions(width=1)
    least = SMALLEST.get(model, 8)
    if min(shape[1:]) < least:
        with pytest.raises(ValueError, match=f"at least {least} on each side .image_size: {least}."):
            MODELS[model](options, in_shape=shape, classes=3)
        return
    network = MODELS[model](options, in_shape=shape, classes=3).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, *shape)).shape == (1, 3)


@pytest.mark.parametrize(
    ("side", "stages", "first"),
    [
        (32, 3, 32),
        (63, 3, 63),
        (64, 3, 32),
        (97, 3, 49),
        (128, 3, 32),
        (224, 3, 56),
        (224, 5, 224),
        (8, 3, 8),
    ],
)
def test_stem_halves_until_the_first_stage_sees_32_to_63_pixels(side: int, stages: int, first: int) -> None:
    layers, shape = stem(NetworkOptions(width=2), (3, side, side), stages)
    assert shape[1:] == (first, first)
    maps = nn.Sequential(*layers.values())(torch.zeros(2, 3, side, side))
    assert maps.shape[1:] == shape


def test_classifier_does_not_grow_with_the_image() -> None:
    inputs = []
    for side in (32, 64, 128, 224):
        network = MODELS["convnet"](NetworkOptions(width=16), in_shape=(3, side, side), classes=10)
        last = network.get_submodule("head.classifier")
        assert isinstance(last, nn.Linear)
        inputs.append(last.in_features)
    assert inputs == [1024, 1024, 1024, 3136]
