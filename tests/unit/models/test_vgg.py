"""VGG nets against the paper's configurations A and B."""

from __future__ import annotations

import pytest
from torch import nn

from hpo.models.options import NetworkOptions
from hpo.models.vgg import STAGES, vgg


def shapes(depth: int, width: int) -> tuple[list[int], list[tuple[int, int]]]:
    """Channels of the convolutions; inputs and outputs of the dense layers."""
    network = vgg(NetworkOptions(depth=depth, width=width), classes=10)
    modules = list(network.modules())
    convs = [m.out_channels for m in modules if isinstance(m, nn.Conv2d)]
    return convs, [(m.in_features, m.out_features) for m in modules if isinstance(m, nn.Linear)]


def test_published_configurations() -> None:
    # Simonyan & Zisserman 2014, table 1, columns A and B.
    convs, dense = shapes(11, 64)
    assert convs == [64, 128, 256, 256, 512, 512, 512, 512]
    assert dense == [(512, 512), (512, 512), (512, 10)]
    convs, _ = shapes(13, 64)
    assert convs == [64, 64, 128, 128, 256, 256, 512, 512, 512, 512]


@pytest.mark.parametrize("depth", STAGES)
def test_depth_counts_layers_with_weights(depth: int) -> None:
    convs, dense = shapes(depth, 4)
    assert len(convs) + len(dense) == depth


def test_parameters_by_hand() -> None:
    network = vgg(NetworkOptions(depth=6, width=2, batch_norm="none"), classes=10)
    convs = (27 * 2 + 2) + (18 * 4 + 4) + (36 * 8 + 8)
    dense = (8 * 16 * 16 + 16) + (16 * 16 + 16) + (16 * 10 + 10)  # 8 channels of 4 x 4
    assert sum(p.numel() for p in network.parameters()) == convs + dense


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="use 6, 8, 11, 13"):
        vgg(NetworkOptions(depth=16), classes=10)
    with pytest.raises(ValueError, match="too small for the poolings of depth 11: it needs at least 32"):
        vgg(NetworkOptions(depth=11), in_shape=(3, 16, 16), classes=10)
