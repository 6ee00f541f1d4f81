"""The mlp, and the lecture's ten-layer experiment on it (CS231n 2016, lecture 5, slides 56-66)."""

from __future__ import annotations

import math

import pytest
import torch

from hpo.models.activations import named_activation_layers
from hpo.models.initializers import initialize
from hpo.models.mlp import mlp, perceptron
from hpo.models.options import NetworkOptions


def test_parameters_by_hand() -> None:
    network = mlp(NetworkOptions(width=2, batch_norm="none"), in_shape=(1, 4, 4), classes=3)
    assert sum(p.numel() for p in network.parameters()) == (16 * 32 + 32) + (32 * 32 + 32) + (32 * 3 + 3)
    deep = mlp(NetworkOptions(width=1, depth=7), classes=10)
    assert len(named_activation_layers(deep)) == 7


def ten_layers(activation: str, initializer: str, seed: int, rows: int) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each of 10 hidden layers of 500 units, on ``rows`` inputs."""
    options = NetworkOptions(activation=activation, initializer=initializer, batch_norm="none")
    network = perceptron(options, inputs=500, hidden=[500] * 10, classes=10)
    generator = torch.Generator().manual_seed(seed)
    initialize(network, options, generator, None)
    means, stds = [], []
    for _, layer in named_activation_layers(network):
        layer.register_forward_hook(lambda layer, inputs, output: means.append(float(output.mean())))
        layer.register_forward_hook(lambda layer, inputs, output: stds.append(float(output.std())))
    with torch.no_grad():
        network(torch.randn(rows, 500, generator=generator))
    return means, stds


# A layer of 500 ReLUs scales its signal by 1 +- 5 % (half the root of (E[4 z^4; z > 0] - 1) / 500 = 5 / 500),
# so ten of them by +- 16 %, and the mean of 10 nets by +- 5 %.
DRIFT = 0.15


def average(activation: str, initializer: str, *, seeds: int, rows: int) -> tuple[list[float], list[float]]:
    runs = torch.tensor([ten_layers(activation, initializer, seed, rows) for seed in range(seeds)])
    means, stds = runs.mean(0).tolist()
    return means, stds


def test_small_random_numbers_collapse_under_tanh() -> None:
    _, stds = average("tanh", "small_gaussian", seeds=2, rows=1000)
    assert stds[:4] == pytest.approx([0.213081, 0.047551, 0.010630, 0.002378], rel=0.02)
    assert stds[9] < 1e-6


def test_xavier_keeps_tanh_alive() -> None:
    _, stds = average("tanh", "xavier", seeds=2, rows=1000)
    slide = [
        0.627953,
        0.486051,
        0.407723,
        0.357108,
        0.320917,
        0.292116,
        0.273387,
        0.254935,
        0.239266,
        0.228008,
    ]
    assert stds == pytest.approx(slide, rel=0.04)


def test_xavier_kills_relu_slowly() -> None:
    means, stds = average("relu", "xavier", seeds=10, rows=100)
    # Each layer halves the variance: 0.5823 * 2^(-l/2), as on the slide (0.582, 0.404, 0.277 ... 0.026).
    assert stds == pytest.approx([0.582273 * 2 ** (-layer / 2) for layer in range(10)], rel=DRIFT)
    assert means[9] < 0.03


def test_he_keeps_relu_alive() -> None:
    means, stds = average("relu", "he", seeds=10, rows=100)
    # The positive half of N(0, 2) has mean 1 / sqrt(pi) and variance 1 - 1 / pi; the slide shows one draw of
    # it, 0.55 to 0.62 and 0.81 to 0.89.
    assert means == pytest.approx([1 / math.sqrt(math.pi)] * 10, rel=DRIFT)
    assert stds == pytest.approx([math.sqrt(1 - 1 / math.pi)] * 10, rel=DRIFT)
    ratios = [std / mean for mean, std in zip(means, stds, strict=True)]
    assert ratios == pytest.approx([math.sqrt(math.pi - 1)] * 10, rel=0.05)
