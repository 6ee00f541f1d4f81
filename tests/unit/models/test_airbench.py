"""The network for short trainings, against the paper's layout."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from hpo.models.airbench import airbench, airbench94
from hpo.models.options import NetworkOptions


def test_channels_and_places_of_each_convolution() -> None:
    """Jordan 2024, listing 2: 31 x 31 places behind the 2 x 2 layer, then 15, 7 and 3 by pooling."""
    network = airbench(NetworkOptions(width=64), classes=10)
    seen: list[tuple[int, int, int]] = []

    def note(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        seen.append((inputs[0].shape[1], output.shape[1], output.shape[2]))

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(note)
    network(torch.randn(2, 3, 32, 32))
    assert seen == [
        (3, 24, 31),
        *[(24, 64, 31), (64, 64, 15)],
        *[(64, 192, 15), (192, 192, 7)],
        *[(192, 256, 7), (256, 256, 3)],
    ]


def test_the_smallest_published_network_has_its_parameters() -> None:
    """Jordan 2024, listing 3: convolutions of 64, 256, 256 channels after 24 fixed filters with a bias."""
    options = NetworkOptions(width=64, stem="whitened", norm_scale="frozen", output_scale=1 / 9)
    network = airbench94(options, classes=10)
    channels = [24, 64, 64, 256, 256, 256, 256]
    convolutions = sum(9 * a * b for a, b in itertools.pairwise(channels))
    parameters = sum(each.numel() for each in network.parameters())
    assert parameters == 24 + convolutions + sum(channels[1:]) + 256 * 10 + 10  # he has no last bias
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_ten_convolutions_have_a_shortcut_around_two_of_each_stage() -> None:
    network = airbench(NetworkOptions(width=8, depth=10), classes=10)
    convs = [each for each in network.modules() if isinstance(each, nn.Conv2d)]
    assert [each.out_channels for each in convs] == [24, *[8] * 3, *[24] * 3, *[32] * 3]
    block = network.get_submodule("stage2.residual6")
    x = torch.rand(2, 24, 5, 5)
    for name in ("conv1", "conv2"):
        nn.init.zeros_(block.get_parameter(f"{name}.conv.weight"))
    assert torch.equal(block(x), x)  # the branch gives 0, and ReLU passes the rest


def test_normalization_sees_pooled_maps() -> None:
    network = airbench(NetworkOptions(width=2), classes=10)
    block = network.get_submodule("stage1.conv2")
    assert [name for name, _ in block.named_children()] == ["conv", "pool", "norm", "activation"]


def test_width_scales_the_stages_and_not_the_first_layer() -> None:
    network = airbench(NetworkOptions(width=16, depth=7), classes=10)
    convs = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert [conv.out_channels for conv in convs] == [24, 16, 16, 48, 48, 64, 64]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="7 or 10 convolutions"):
        airbench(NetworkOptions(depth=8), classes=10)
    with pytest.raises(ValueError, match="needs at least 9"):
        airbench(NetworkOptions(), in_shape=(3, 8, 8), classes=10)
    assert airbench(NetworkOptions(width=1), in_shape=(1, 9, 9), classes=2)(
        torch.zeros(2, 1, 9, 9)
    ).shape == (2, 2)
