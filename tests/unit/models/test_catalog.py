"""Every network under a spread of choices: shapes, finite outputs, a gradient for every parameter."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from hpo.models.activations import ACTIVATIONS
from hpo.models.catalog import MODELS
from hpo.models.initializers import initialize
from hpo.models.options import NetworkOptions

CHOICES = [
    {
        "activation": name,
        "batch_norm": ("before", "none", "after")[i % 3],
        "norm": ("batch", "layer", "group")[i // 3 % 3],
    }
    for i, name in enumerate(ACTIVATIONS)
]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("choices", CHOICES, ids=lambda choices: "-".join(choices.values()))
def test_forward_and_backward(model: str, choices: dict[str, str]) -> None:
    options = NetworkOptions(model=model, width=4, dropout=0.1, initializer="he", **choices)
    network = MODELS[model](options, classes=7)
    initialize(network, options, torch.Generator().manual_seed(0), None)
    network = network.to(memory_format=torch.channels_last)
    images = torch.randn(3, 3, 32, 32).to(memory_format=torch.channels_last)
    logits = network(images)
    F.cross_entropy(logits, torch.tensor([0, 3, 6])).backward()
    assert logits.shape == (3, 7)
    assert logits.isfinite().all()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("model", MODELS)
def test_other_image_shapes_and_one_channel(model: str) -> None:
    network = MODELS[model](NetworkOptions(width=1), in_shape=(1, 40, 48), classes=2)
    assert network.eval()(torch.randn(2, 1, 40, 48)).shape == (2, 2)


@pytest.mark.parametrize("model", MODELS)
def test_deepest_and_shallowest(model: str) -> None:
    depths = {
        "convnet": (1, 2, 20),
        "vgg": (6, 13),
        "resnet": (8, 26),
        "fitnet": (17,),
        "airbench": (7, 10),
        "airbench94": (7, 10),
        "mlp": (1, 50),
    }
    for depth in depths[model]:
        network = MODELS[model](NetworkOptions(width=1, depth=depth), classes=3)
        assert network.eval()(torch.randn(2, 3, 32, 32)).shape == (2, 3)
