"""Residual nets against He et al. 2016, table 6, and a forward pass by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hpo.models.options import NetworkOptions
from hpo.models.resnet import Residual, resnet


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(("depth", "published"), [(20, 0.27e6), (32, 0.46e6), (44, 0.66e6), (56, 0.85e6)])
def test_sizes_of_the_paper(depth: int, published: float) -> None:
    network = resnet(NetworkOptions(depth=depth, width=16), classes=10)
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == depth
    assert parameters(network) == pytest.approx(published, abs=0.005e6)


def test_parameters_by_hand() -> None:
    # Width 2, depth 8: one block a stage; each convolution has two batch-norm parameters a channel.
    convs = [(3, 2), (2, 2), (2, 2), (2, 4), (4, 4), (4, 8), (8, 8)]
    expected = sum(9 * inputs * outputs + 2 * outputs for inputs, outputs in convs) + 8 * 10 + 10
    assert parameters(resnet(NetworkOptions(width=2), classes=10)) == expected


@pytest.mark.parametrize("depth", [2, 7, 9])
def test_other_depths_are_refused(depth: int) -> None:
    with pytest.raises(ValueError, match="6n"):
        resnet(NetworkOptions(depth=depth), classes=10)


def silent(block: Residual) -> Residual:
    """The block with a branch that puts out zeros."""
    with torch.no_grad():
        for parameter in block.conv2.parameters():
            parameter.zero_()
    return block


@pytest.mark.parametrize("activation", ["linear", "maxout"])
def test_shortcut_takes_every_second_pixel_and_adds_zero_channels(activation: str) -> None:
    options = NetworkOptions(activation=activation, batch_norm="none")
    x = torch.randn(2, 4, 6, 6)
    same = silent(Residual(options, 4, 4))(x)
    assert torch.equal(same, x)
    down = silent(Residual(options, 4, 8))(x)
    zeros = torch.zeros(2, 2, 3, 3)
    assert torch.equal(down, torch.cat([zeros, x[:, :, ::2, ::2], zeros], dim=1))


def test_order_inside_a_block() -> None:
    def paths(where: str) -> list[str]:
        block = Residual(NetworkOptions(batch_norm=where), 4, 4)
        return [name for name, module in block.named_modules() if not list(module.children())]

    assert paths("before") == [
        "conv1.conv",
        "conv1.norm",
        "conv1.activation",
        "conv2.conv",
        "conv2.norm",
        "sum.activation",
    ]
    assert paths("after") == [
        "conv1.conv",
        "conv1.activation",
        "conv1.norm",
        "conv2.conv",
        "sum.activation",
        "sum.norm",
    ]
    assert paths("none") == ["conv1.conv", "conv1.activation", "conv2.conv", "sum.activation"]
