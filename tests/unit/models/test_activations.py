"""Activations against their formulas in numpy float64 and numeric derivatives of those formulas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import erf
from torch import Tensor, nn

from hpo.models.activations import ACTIVATIONS, Maxout, PReLU, RReLU, named_activation_layers
from hpo.models.catalog import MODELS
from hpo.models.layers import conv_block
from hpo.models.options import NetworkOptions

Array = NDArray[np.float64]
OPTIONS = NetworkOptions(negative_slope=0.2, elu_alpha=1.5)
SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805  # Klambauer et al. 2017, eq. 2


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


FORMULAS: dict[str, Callable[[Array], Array]] = {
    "sigmoid": sigmoid,
    "tanh": lambda x: (np.exp(2 * x) - 1) / (np.exp(2 * x) + 1),
    "lecun_tanh": lambda x: 1.7159 * np.tanh(2 * x / 3),
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.2 * x),
    "prelu": lambda x: np.where(x > 0, x, 0.25 * x),
    "rrelu": lambda x: np.where(x > 0, x, (1 / 8 + 1 / 3) / 2 * x),
    "elu": lambda x: np.where(x > 0, x, 1.5 * (np.exp(x) - 1)),
    "selu": lambda x: SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * (np.exp(x) - 1)),
    "gelu": lambda x: x * (1 + erf(x / np.sqrt(2))) / 2,
    "silu": lambda x: x * sigmoid(x),
    "softplus": lambda x: np.log(1 + np.exp(x)),
    "linear": lambda x: x,
}
POINTS = np.setdiff1d(np.linspace(-4, 4, 161), [0.0])  # kinks are at 0


def activation(name: str, channels: int = 1, **options: object) -> nn.Module:
    return ACTIVATIONS[name](replace(OPTIONS, activation=name, **options), channels)


def test_every_activation_but_maxout_has_a_formula_here() -> None:
    assert set(FORMULAS) | {"maxout"} == set(ACTIVATIONS)


@pytest.mark.parametrize("name", FORMULAS)
def test_values_and_derivatives_follow_the_formula(name: str) -> None:
    layer = activation(name).double().eval()
    x = torch.tensor(POINTS).reshape(-1, 1).requires_grad_()
    y = layer(x)
    y.sum().backward()
    formula, step = FORMULAS[name], 1e-5
    numeric = (formula(POINTS + step) - formula(POINTS - step)) / (2 * step)
    assert x.grad is not None
    np.testing.assert_allclose(y.detach().numpy()[:, 0], formula(POINTS), rtol=1e-11)
    np.testing.assert_allclose(x.grad.numpy()[:, 0], numeric, rtol=1e-7, atol=1e-9)


def test_maxout_with_one_piece_at_zero_is_relu() -> None:
    x = torch.randn(5, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    gradient = torch.randn(5, 3, 4, 4, dtype=torch.float64)
    y = Maxout(2)(torch.cat([x, torch.zeros_like(x)], dim=1))
    (ours,) = torch.autograd.grad(y, x, gradient)
    expected = torch.relu(x)
    (theirs,) = torch.autograd.grad(expected, x, gradient)
    assert torch.equal(y, expected)
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("shape", [(6, 12), (6, 12, 4, 3)])
@pytest.mark.parametrize("pieces", [2, 3, 4])
def test_maxout_is_the_largest_piece_and_only_that_one_learns(shape: tuple[int, ...], pieces: int) -> None:
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    layer = Maxout(pieces)
    parts = np.stack(np.split(x.detach().numpy(), pieces, axis=1))
    np.testing.assert_array_equal(layer(x).detach().numpy(), parts.max(axis=0))
    assert torch.autograd.gradcheck(layer, (x,))


def test_tied_pieces_share_one_gradient() -> None:
    x = torch.ones(1, 6, requires_grad=True)
    Maxout(3)(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[1, 1, 0, 0, 0, 0]]


def test_maxout_refuses_fewer_than_two_pieces() -> None:
    with pytest.raises(ValueError, match="2 pieces or more"):
        Maxout(1)


def test_prelu_learns_a_slope_per_channel() -> None:
    ours, theirs = PReLU(3).double(), nn.PReLU(3).double()
    with torch.no_grad():
        for layer in (ours, theirs):
            layer.weight.copy_(torch.tensor([0.1, 0.5, -0.3]))
    x = torch.randn(4, 3, 5, 5, dtype=torch.float64)
    for layer in (ours, theirs):
        layer(x).square().sum().backward()
    torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad)


def test_rrelu_draws_slopes_in_training_only() -> None:
    layer = RReLU()
    x = torch.linspace(-3, 3, 2000)
    torch.manual_seed(5)
    first = layer(x)
    slopes = (first / x)[x < 0]
    assert torch.equal(first[x > 0], x[x > 0])
    assert slopes.min() >= 1 / 8 - 1e-6
    assert slopes.max() <= 1 / 3 + 1e-6
    assert slopes.mean() == pytest.approx(11 / 48, abs=4 * (1 / 3 - 1 / 8) / (12 * 1000) ** 0.5)
    assert not torch.equal(layer(x), first)
    torch.manual_seed(5)
    assert torch.equal(layer(x), first)
    assert torch.equal(layer.eval()(x), layer(x))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_layers_keep_channels_last_and_bfloat16_and_their_input(name: str) -> None:
    block = conv_block(replace(OPTIONS, activation=name, batch_norm="none"), 4, 8)
    block = block.to(memory_format=torch.channels_last)
    seen: list[tuple[Tensor, Tensor]] = []
    block[0].register_forward_hook(lambda layer, inputs, output: seen.append((output, output.clone())))
    images = torch.randn(2, 4, 6, 6).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        y = block(images)
    y.float().sum().backward()
    assert y.shape == (2, 8, 6, 6)
    assert y.dtype == torch.bfloat16
    assert y.is_contiguous(memory_format=torch.channels_last)
    [(output, as_it_was)] = seen
    assert torch.equal(output, as_it_was)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", ["linear", "maxout", "rrelu"])
def test_activation_layers_are_listed_in_the_order_they_run(model: str, name: str) -> None:
    network = MODELS[model](NetworkOptions(width=2, activation=name), classes=10)
    listed = named_activation_layers(network)
    ran: list[str] = []
    for path, layer in listed:
        layer.register_forward_hook(lambda layer, inputs, output, path=path: ran.append(path))
    network(torch.randn(2, 3, 32, 32))
    weights = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert ran == [path for path, _ in listed]
    assert len(ran) == len(weights) - 1  # one after each layer but the classifier
    assert all(network.get_submodule(path) is layer for path, layer in listed)


def test_activation_layers_of_a_users_model_are_found() -> None:
    model = nn.Sequential(
        nn.Linear(3, 4), nn.Mish(), nn.Sequential(nn.Linear(4, 4), nn.ReLU6()), nn.Identity()
    )
    assert [name for name, _ in named_activation_layers(model)] == ["1", "2.1"]
