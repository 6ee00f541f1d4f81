"""The convnet's stages and sizes, by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hpo.models.convnet import convnet, stage_sizes
from hpo.models.options import NetworkOptions


def test_default_network_by_hand() -> None:
    network = convnet(NetworkOptions(width=16), classes=10)
    convs = [(m.in_channels, m.out_channels) for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert convs == [(3, 16), (16, 32), (32, 32), (32, 64), (64, 64)]
    weights = 9 * (3 * 16 + 16 * 32 + 32 * 32 + 32 * 64 + 64 * 64)
    norms = 2 * (16 + 32 + 32 + 64 + 64)
    classifier = 64 * 4 * 4 * 10 + 10
    assert sum(p.numel() for p in network.parameters()) == weights + norms + classifier == 80_218


def test_maxout_doubles_filters_and_not_channels() -> None:
    network = convnet(NetworkOptions(width=16, activation="maxout", batch_norm="none"), classes=10)
    filters = 9 * (3 * 32 + 16 * 64 + 32 * 64 + 32 * 128 + 64 * 128) + (32 + 64 + 64 + 128 + 128)
    assert sum(p.numel() for p in network.parameters()) == filters + 64 * 4 * 4 * 10 + 10


@pytest.mark.parametrize(
    ("depth", "sizes"),
    [(1, [1]), (2, [1, 1]), (3, [1, 1, 1]), (4, [1, 1, 2]), (5, [1, 2, 2]), (20, [6, 7, 7])],
)
def test_stage_sizes(depth: int, sizes: list[int]) -> None:
    assert stage_sizes(depth) == sizes


def test_names_are_stable() -> None:
    network = convnet(NetworkOptions(width=2, depth=3), classes=10)
    convs = [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d)]
    assert convs == ["stage1.conv1.conv", "stage2.conv2.conv", "stage3.conv3.conv"]
    assert isinstance(network.get_submodule("head.classifier"), nn.Linear)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="1 convolution or more"):
        convnet(NetworkOptions(depth=-1), classes=10)
    with pytest.raises(ValueError, match="too small for its poolings: it needs at least 8"):
        convnet(NetworkOptions(), in_shape=(3, 7, 32), classes=10)
    assert convnet(NetworkOptions(), in_shape=(3, 8, 33), classes=2).eval()(
        torch.zeros(1, 3, 8, 33)
    ).shape == (1, 2)
