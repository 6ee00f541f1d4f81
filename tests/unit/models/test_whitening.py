"""The layer of whitened patches against the covariance in numpy, alone and as the first layer of networks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor, nn

from hpo.models.catalog import MODELS
from hpo.models.initializers import initialize
from hpo.models.options import NetworkOptions
from hpo.models.whitening import WhitenedPatches, patch_components


@pytest.fixture(scope="module")
def images() -> Tensor:
    """300 smooth images (more than a chunk), whose channels are correlated."""
    generator = torch.Generator().manual_seed(0)
    rough = torch.randn(300, 3, 8, 8, generator=generator)
    smooth = nn.functional.avg_pool2d(rough, 3, 1, 1) * 2
    return smooth + 0.5 * smooth.mean(1, keepdim=True)


def _patches(images: Tensor) -> np.ndarray:
    """Every patch of 2 x 2 as a row (n, C * 4)."""
    windows = sliding_window_view(images.double().numpy(), (2, 2), axis=(2, 3))
    return windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, images.shape[1] * 4)


def _layer(channels: int = 3, *, trained: bool = False, keep_size: bool = False) -> WhitenedPatches:
    return WhitenedPatches(channels, 1e-9, trained=trained, bias=True, keep_size=keep_size)


def test_components_are_those_of_numpys_covariance(images: Tensor) -> None:
    patches = _patches(images)
    variances, vectors = patch_components(images)
    expected = np.linalg.eigvalsh(patches.T @ patches / len(patches))[::-1]
    np.testing.assert_allclose(variances.numpy(), expected, rtol=1e-9)
    again = vectors.numpy() @ np.diag(variances.numpy()) @ vectors.numpy().T
    np.testing.assert_allclose(again, patches.T @ patches / len(patches), atol=1e-9)


def test_outputs_are_uncorrelated_with_variance_1_and_both_signs(images: Tensor) -> None:
    layer = _layer()
    layer.fit(images)
    outputs = layer(images).detach()
    assert outputs.shape == (300, 24, 7, 7)
    assert torch.equal(outputs[:, 12:], -outputs[:, :12])
    half = outputs[:, :12].transpose(0, 1).flatten(1).double().numpy()
    np.testing.assert_allclose(half @ half.T / half.shape[1], np.eye(12), atol=1e-4)
    assert (layer.variances.diff() <= 0).all()


def test_epsilon_limits_the_gain_of_directions_without_variance() -> None:
    layer = WhitenedPatches(1, 5e-4, trained=False, bias=False, keep_size=False)
    layer.fit(torch.zeros(4, 1, 8, 8))
    assert torch.allclose(layer.weight.flatten(1).norm(dim=1), torch.full((8,), 5e-4**-0.5))


def test_filters_that_are_never_trained_are_no_parameters_but_are_stored() -> None:
    assert {name for name, _ in _layer().named_parameters()} == {"bias"}
    assert {name for name, _ in _layer(trained=True).named_parameters()} == {"weight", "bias"}
    assert set(_layer().state_dict()) == {"weight", "bias", "variances"}


def test_keep_size_adds_a_row_and_a_column_of_zeros(images: Tensor) -> None:
    small, same = _layer(), _layer(keep_size=True)
    for layer in (small, same):
        layer.fit(images)
    padded = nn.functional.pad(images, (0, 1, 0, 1))
    assert torch.allclose(same(images), small(padded), atol=1e-5)


@pytest.fixture(params=[name for name in MODELS if name != "mlp"])
def network(request: pytest.FixtureRequest) -> Iterator[tuple[nn.Module, NetworkOptions]]:
    options = NetworkOptions(model=request.param, width=2, stem="whitened", norm_scale="frozen")
    yield MODELS[request.param](options, classes=3), options


def test_every_network_of_convolutions_starts_with_it(network: tuple[nn.Module, NetworkOptions]) -> None:
    module, options = network
    first = next(each for each in module.modules() if isinstance(each, WhitenedPatches))
    first.fit(torch.randn(8, 3, 32, 32))
    before = first.weight.clone()
    initialize(module, options, torch.Generator().manual_seed(0), None)
    assert torch.equal(first.weight, before)
    logits = module(torch.randn(4, 3, 32, 32))
    logits.sum().backward()
    assert logits.shape == (4, 3)
    assert all(each.grad is not None for each in module.parameters())
    norms = [each for each in module.modules() if isinstance(each, nn.BatchNorm2d)]
    assert norms and not any(isinstance(each.weight, nn.Parameter) for each in norms)


def test_a_network_without_convolutions_and_odd_groups_are_refused() -> None:
    with pytest.raises(ValueError, match="no convolutions"):
        MODELS["mlp"](NetworkOptions(stem="whitened"), classes=3)
    with pytest.raises(ValueError, match=r"24 filters, .* groups of 5"):
        MODELS["convnet"](NetworkOptions(stem="whitened", activation="maxout", maxout_pieces=5), classes=3)
