"""FitNet-4 against the papers: 17 convolutions and about 2.5 million parameters with maxout."""

from __future__ import annotations

import pytest
from torch import nn

from hpo.models.fitnet import fitnet
from hpo.models.options import NetworkOptions


def test_published_size() -> None:
    options = NetworkOptions(width=32, activation="maxout", batch_norm="none")
    network = fitnet(options, classes=10)
    # Romero et al. 2015, table 1: FitNet 4 has "~2.5M" parameters.
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(2.5e6, abs=0.05e6)
    convs = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert [conv.out_channels // 2 for conv in convs] == [32] * 3 + [48] * 2 + [80] * 6 + [128] * 6
    dense = [m for m in network.modules() if isinstance(m, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in dense] == [(128, 2 * 500), (500, 10)]


def test_width_scales_the_published_channels() -> None:
    network = fitnet(NetworkOptions(width=16, depth=17), classes=10)
    convs = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert [conv.out_channels for conv in convs] == [16] * 3 + [24] * 2 + [40] * 6 + [64] * 6


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="17 convolutions"):
        fitnet(NetworkOptions(depth=16), classes=10)
    with pytest.raises(ValueError, match="needs at least 4"):
        fitnet(NetworkOptions(), in_shape=(3, 3, 3), classes=10)
