"""Order of modules, biases, normalization by hand, dropout."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hpo.models.catalog import MODELS
from hpo.models.layers import NORMS, conv_block, dense_block, group_count, norm
from hpo.models.options import NetworkOptions

PLAIN = NetworkOptions(activation="relu", norm_epsilon=1e-3, norm_momentum=0.1)


def names(block: nn.Module) -> list[str]:
    return [name for name, _ in block.named_children()]


@pytest.mark.parametrize("norm_kind", NORMS)
def test_order_of_modules_and_biases(norm_kind: str) -> None:
    options = replace(PLAIN, norm=norm_kind)
    before, after, none = (
        conv_block(replace(options, batch_norm=where), 2, 4) for where in ("before", "after", "none")
    )
    assert names(before) == ["conv", "norm", "activation"]
    assert names(after) == ["conv", "activation", "norm"]
    assert names(none) == ["conv", "activation"]
    assert [block.conv.bias is None for block in (before, after, none)] == [True, False, False]
    dense = dense_block(replace(options, batch_norm="before"), 2, 4)
    assert names(dense) == ["dense", "norm", "activation"]
    assert dense.dense.bias is None


def one_channel_block(batch_norm: str) -> nn.Sequential:
    """A convolution that copies its one channel, batch norm and ReLU."""
    block = conv_block(replace(PLAIN, batch_norm=batch_norm), 1, 1)
    kernel = torch.zeros(1, 1, 3, 3)
    kernel[0, 0, 1, 1] = 1.0
    with torch.no_grad():
        block.conv.weight.copy_(kernel)
        if block.conv.bias is not None:
            block.conv.bias.zero_()
    return block


IMAGE = torch.tensor([[-2.0, 0.0], [4.0, 6.0]]).reshape(1, 1, 2, 2)  # mean 2, variance 10 (40/3 unbiased)


def values(output: Tensor) -> list[float]:
    return [float(value) for value in output.detach().flatten()]


def test_batch_norm_before_the_activation_by_hand() -> None:
    block = one_channel_block("before")
    size = (10 + 1e-3) ** 0.5
    assert values(block(IMAGE)) == pytest.approx([0, 0, 2 / size, 4 / size], rel=1e-5)
    # One step of momentum 0.1: mean 0.9 * 0 + 0.1 * 2, variance 0.9 * 1 + 0.1 * 40/3.
    running = (0.9 + 4 / 3 + 1e-3) ** 0.5
    block.eval()
    assert values(block(IMAGE)) == pytest.approx([0, 0, 3.8 / running, 5.8 / running], rel=1e-5)


def test_batch_norm_after_the_activation_by_hand() -> None:
    block = one_channel_block("after")  # ReLU gives 0, 0, 4, 6: mean 2.5, variance 6.75 (9 unbiased)
    size = (6.75 + 1e-3) ** 0.5
    expected = [-2.5 / size, -2.5 / size, 1.5 / size, 3.5 / size]
    assert values(block(IMAGE)) == pytest.approx(expected, rel=1e-5)
    running = (0.9 + 0.9 + 1e-3) ** 0.5
    block.eval()
    expected = [-0.25 / running, -0.25 / running, 3.75 / running, 5.75 / running]
    assert values(block(IMAGE)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("kind", "groups"), [("layer", 1), ("group", 2)])
def test_layer_and_group_norm_per_image(kind: str, groups: int) -> None:
    x = np.random.default_rng(0).normal(3, 2, (5, 4, 3, 3))
    grouped = x.reshape(5, groups, -1)
    expected = (grouped - grouped.mean(2, keepdims=True)) / np.sqrt(grouped.var(2, keepdims=True) + 1e-3)
    layer = norm(replace(PLAIN, norm=kind, norm_groups=3), 4, spatial=True)  # 3 does not divide 4: 2 groups
    y = layer(torch.tensor(x, dtype=torch.float32)).detach().numpy()
    np.testing.assert_allclose(y, expected.reshape(x.shape), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("channels", "most", "groups"), [(16, 8, 8), (12, 8, 6), (7, 8, 7), (11, 8, 1), (1, 8, 1), (16, 1, 1)]
)
def test_group_count(channels: int, most: int, groups: int) -> None:
    assert group_count(channels, most) == groups


def test_maxout_makes_k_times_the_filters() -> None:
    relu = conv_block(replace(PLAIN, batch_norm="none"), 3, 8)
    maxout = conv_block(replace(PLAIN, batch_norm="none", activation="maxout", maxout_pieces=3), 3, 8)
    counts = [sum(p.numel() for p in block.parameters()) for block in (relu, maxout)]
    assert counts == [8 * 27 + 8, 3 * (8 * 27 + 8)]
    assert maxout(torch.zeros(1, 3, 4, 4)).shape == (1, 8, 4, 4)


@pytest.mark.parametrize(
    ("model", "kind", "places"),
    [
        ("convnet", "plain", ["head.dropout"]),
        ("convnet", "spatial", ["stage1.dropout", "stage2.dropout", "stage3.dropout"]),
        ("resnet", "spatial", ["stage1.dropout", "stage2.dropout", "stage3.dropout"]),
        ("airbench", "spatial", ["stage1.dropout", "stage2.dropout", "stage3.dropout"]),
        ("fitnet", "plain", ["head.dropout", "head.dropout1"]),
        ("mlp", "plain", ["head.dropout1", "head.dropout2"]),
        ("mlp", "spatial", ["head.dropout1", "head.dropout2"]),
    ],
)
def test_where_dropout_is(model: str, kind: str, places: list[str]) -> None:
    options = NetworkOptions(width=2, dropout=0.25, dropout_kind=kind)
    network = MODELS[model](options, classes=10)
    found = {name: m for name, m in network.named_modules() if isinstance(m, nn.Dropout | nn.Dropout2d)}
    assert list(found) == places
    assert all(layer.p == 0.25 for layer in found.values())
    whole_channels = kind == "spatial" and model != "mlp"
    assert all(isinstance(layer, nn.Dropout2d) == whole_channels for layer in found.values())


def test_no_dropout_layer_at_rate_zero() -> None:
    network = MODELS["vgg"](NetworkOptions(width=2), classes=10)
    assert not any(isinstance(m, nn.Dropout | nn.Dropout2d) for m in network.modules())


@pytest.mark.parametrize("model", MODELS)
def test_logits_are_fp32_where_the_rest_is_bf16(model: str) -> None:
    network = MODELS[model](NetworkOptions(width=2), classes=10)
    features: list[Tensor] = []
    classifier = [layer for layer in network.modules() if isinstance(layer, nn.Linear)][-1]
    classifier.register_forward_hook(lambda layer, inputs, output: features.append(inputs[0]))
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(torch.randn(4, 3, 32, 32))
    logits.sum().backward()
    assert features[0].dtype == torch.bfloat16
    assert logits.dtype == torch.float32
    assert torch.equal(logits, nn.functional.linear(features[0].float(), classifier.weight, classifier.bias))
    assert classifier.weight.grad is not None
    assert classifier.weight.grad.dtype == torch.float32
