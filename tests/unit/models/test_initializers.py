"""Moments of initializers against their formulas; LSUV on batches of images."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hpo.models.activations import ACTIVATIONS
from hpo.models.catalog import MODELS
from hpo.models.initializers import CLASSIFIER_SCALE, INITIALIZERS, fans, initialize, weight_layers
from hpo.models.layers import Network, conv_block, dense_block
from hpo.models.options import NetworkOptions

SENSIBLE = ("xavier", "he", "lecun", "orthogonal", "lsuv", "dirac")
IN, OUT, SEEDS = 16, 32, 30


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int = 32) -> Tensor:
    """Smooth random images: neighboring pixels are alike, as in photographs."""
    coarse = torch.randn(count, 3, 8, 8, generator=generator(1))
    noise = torch.randn(count, 3, 32, 32, generator=generator(2))
    return F.interpolate(coarse, size=(32, 32), mode="bilinear") + 0.1 * noise


def drawn_weights(options: NetworkOptions) -> Tensor:
    """Weights of the same layer under many seeds, (SEEDS, filters, IN, 3, 3)."""
    found = []
    for seed in range(SEEDS):
        layers = {"block": conv_block(options, IN, OUT), "classifier": nn.Conv2d(OUT, 10, 1)}
        network = Network(layers)
        initialize(network, options, generator(seed), None)
        found.append(weight_layers(network)[0].weight.detach())
    return torch.stack(found)


N, M = 9 * IN, 9 * OUT
LAWS = [  # options, variance
    ({"initializer": "small_gaussian"}, 1e-4),
    ({"initializer": "gaussian", "init_std": 0.3}, 0.09),
    ({"initializer": "xavier"}, 2 / (N + M)),
    ({"initializer": "xavier", "activation": "maxout", "maxout_pieces": 3}, 2 / (N + 3 * M)),
    ({"initializer": "he"}, 2 / N),
    ({"initializer": "he", "activation": "tanh"}, 25 / 9 / N),
    ({"initializer": "he", "activation": "leaky_relu", "negative_slope": 0.5}, 1.6 / N),
    ({"initializer": "he", "activation": "maxout"}, 1 / N),
    ({"initializer": "lecun"}, 1 / N),
    ({"initializer": "xavier", "init_distribution": "uniform"}, 2 / (N + M)),
    ({"initializer": "he", "init_distribution": "uniform"}, 2 / N),
    ({"initializer": "lecun", "init_distribution": "uniform"}, 1 / N),
]


@pytest.mark.parametrize(("chosen", "variance"), LAWS, ids=lambda value: str(value))
def test_mean_and_variance_over_seeds(chosen: dict[str, object], variance: float) -> None:
    options = replace(NetworkOptions(), **chosen)
    weights = drawn_weights(options).double()
    count = weights.numel()
    assert weights.mean().abs() < 5 * math.sqrt(variance / count)
    assert weights.var() == pytest.approx(variance, rel=5 * math.sqrt(2 / count))
    kurtosis = float(((weights / weights.std()) ** 4).mean())
    if options.init_distribution == "uniform":
        assert weights.abs().max() <= math.sqrt(3 * variance)  # what Glorot writes as sqrt(6 / (n + m))
        assert kurtosis == pytest.approx(1.8, abs=0.03)
    else:
        assert kurtosis == pytest.approx(3.0, abs=0.1)


def test_zeros_and_constant_fill_every_layer() -> None:
    for options, value in (
        (NetworkOptions(initializer="zeros"), 0.0),
        (NetworkOptions(initializer="constant", init_constant=0.125), 0.125),
    ):
        network = MODELS["convnet"](options, classes=10)
        initialize(network, options, generator(), None)
        assert all(bool((layer.weight == value).all()) for layer in weight_layers(network))


def test_fans_count_places_and_pieces() -> None:
    options = NetworkOptions(activation="maxout", maxout_pieces=3)
    assert fans(conv_block(options, 5, 7).conv.weight.shape) == (9 * 5, 9 * 7 * 3)
    assert fans(dense_block(options, 5, 7).dense.weight.shape) == (5, 7 * 3)


@pytest.mark.parametrize(("inputs", "outputs"), [(2, 32), (16, 32)])  # tall and wide matrices
def test_orthogonal_times_gain(inputs: int, outputs: int) -> None:
    options = NetworkOptions(initializer="orthogonal", activation="tanh")
    network = Network({"block": conv_block(options, inputs, outputs), "classifier": nn.Conv2d(outputs, 4, 1)})
    initialize(network, options, generator(), None)
    matrix = weight_layers(network)[0].weight.detach().double().flatten(1)
    product = matrix.T @ matrix if inputs == 2 else matrix @ matrix.T
    torch.testing.assert_close(product, (5 / 3) ** 2 * torch.eye(len(product)).double(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("initializer", INITIALIZERS)
def test_biases_and_norms_start_neutral(initializer: str) -> None:
    options = NetworkOptions(initializer=initializer, batch_norm="after")
    network = MODELS["resnet"](options, classes=10)
    initialize(network, options, generator(), images(8))
    assert {nn.Conv2d, nn.BatchNorm2d} <= {type(layer) for layer in network.modules()}
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            assert layer.bias is not None
            assert not layer.bias.any()
        if isinstance(layer, nn.BatchNorm2d):
            assert bool((layer.weight == 1).all())
            assert not layer.bias.any()
            assert not layer.running_mean.any()  # type: ignore[union-attr]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("initializer", SENSIBLE)
def test_the_loss_starts_near_the_log_of_the_classes(model: str, initializer: str) -> None:
    options = NetworkOptions(model=model, initializer=initializer, width=4)
    network = MODELS[model](options, classes=10)
    initialize(network, options, generator(), images())
    with torch.no_grad():
        loss = F.cross_entropy(network(images()), torch.arange(32) % 10)
    assert float(loss) == pytest.approx(math.log(10), abs=0.05)


def test_bad_examples_reach_the_classifier() -> None:
    options = NetworkOptions(initializer="gaussian", init_std=0.5)
    network = MODELS["mlp"](options, classes=10)
    initialize(network, options, generator(), None)
    assert float(weight_layers(network)[-1].weight.detach().std()) == pytest.approx(0.5, rel=0.1)


def test_weights_depend_on_the_generator_alone() -> None:
    options = NetworkOptions(width=2)

    def weights(seed: int, torch_seed: int) -> Tensor:
        torch.manual_seed(torch_seed)
        network = MODELS["vgg"](options, classes=10)
        initialize(network, options, generator(seed), None)
        return torch.cat([layer.weight.detach().flatten() for layer in weight_layers(network)])

    assert torch.equal(weights(3, 0), weights(3, 1))
    assert not torch.equal(weights(3, 0), weights(4, 0))


def output_variances(network: nn.Module, batch: Tensor) -> list[float]:
    """The variance of each weight layer's output, measured independently of the initializer's own hooks."""
    found: list[float] = []
    handles = [
        layer.register_forward_hook(lambda layer, inputs, output: found.append(float(output.double().var())))
        for layer in weight_layers(network)
    ]
    network.eval()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d):
            layer.train()
    with torch.no_grad():
        network(batch)
    for handle in handles:
        handle.remove()
    return found


@pytest.mark.parametrize("batch_norm", ["none", "before", "after"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_lsuv_gives_every_layer_unit_variance(activation: str, batch_norm: str) -> None:
    options = NetworkOptions(initializer="lsuv", width=4, activation=activation, batch_norm=batch_norm)
    network = MODELS["convnet"](options, classes=10)
    initialize(network, options, generator(), images())
    *hidden, classifier = output_variances(network, images())
    assert len(hidden) == 5
    assert hidden == pytest.approx([1.0] * 5, abs=0.011)  # the tolerance, and var's n - 1
    assert classifier == pytest.approx(CLASSIFIER_SCALE**2, rel=0.02)


@pytest.mark.parametrize("model", ["fitnet", "airbench", "resnet", "vgg", "mlp"])
def test_lsuv_of_deeper_networks(model: str) -> None:
    options = NetworkOptions(initializer="lsuv", width=2, activation="tanh", batch_norm="none", dropout=0.5)
    network = MODELS[model](options, classes=10)
    initialize(network, options, generator(), images())
    *hidden, _ = output_variances(network, images())
    assert hidden == pytest.approx([1.0] * len(hidden), abs=0.011)


def test_lsuv_leaves_modes_and_running_statistics() -> None:
    options = NetworkOptions(initializer="lsuv", width=2, dropout=0.5, batch_norm="before")
    network = MODELS["convnet"](options, classes=10)
    network.stage2.eval()
    modes = [module.training for module in network.modules()]
    initialize(network, options, generator(), images())
    assert [module.training for module in network.modules()] == modes
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.num_batches_tracked == 0
            assert not layer.running_mean.any()  # type: ignore[union-attr]
        assert not layer._forward_hooks


def test_lsuv_keeps_orthogonal_weights_of_a_constant_output() -> None:
    options = NetworkOptions(initializer="lsuv", width=2, batch_norm="none")
    network = MODELS["convnet"](options, classes=10)
    initialize(network, options, generator(), torch.zeros(4, 3, 32, 32))
    assert all(bool(layer.weight.isfinite().all()) for layer in weight_layers(network))


def test_lsuv_works_on_a_module_of_ones_own() -> None:
    """Layers run in another order than they are registered, and one runs twice."""

    class Crossed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.second = nn.Linear(6, 6)
            self.first = nn.Linear(5, 6)
            self.last = nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            hidden = torch.tanh(self.second(torch.tanh(self.first(x))))
            logits: Tensor = self.last(self.second(hidden))
            return logits

    module, batch = Crossed(), torch.randn(500, 5, generator=generator())
    initialize(module, NetworkOptions(initializer="lsuv"), generator(), batch)
    with torch.no_grad():
        first = module.first(batch)
        second = module.second(torch.tanh(first))
    assert [float(first.var()), float(second.var())] == pytest.approx([1, 1], abs=0.013)


def test_what_cannot_be_initialized_is_refused() -> None:
    with pytest.raises(ValueError, match="batch of images"):
        initialize(nn.Linear(2, 2), NetworkOptions(initializer="lsuv"), generator(), None)
    with pytest.raises(ValueError, match="no linear or convolution layer"):
        initialize(nn.ReLU(), NetworkOptions(), generator(), None)


@pytest.mark.parametrize(("inputs", "outputs"), [(4, 12), (12, 4), (6, 6)])
def test_dirac_starts_as_torchs_identity_and_leaves_the_rest_random(inputs: int, outputs: int) -> None:
    options = NetworkOptions(initializer="dirac")
    weight = INITIALIZERS["dirac"](torch.Size((outputs, inputs, 3, 3)), options, generator())
    same = min(inputs, outputs)
    assert torch.equal(weight[:same], nn.init.dirac_(torch.empty(outputs, inputs, 3, 3))[:same])
    x = torch.randn(2, inputs, 5, 5)
    assert torch.equal(F.conv2d(x, weight, padding=1)[:, :same], x[:, :same])
    rest, bound = weight[inputs:], 1 / math.sqrt(9 * inputs)
    assert len(rest) == max(0, outputs - inputs)
    assert len(rest) == 0 or bound / 2 < rest.abs().max() <= bound


def test_output_scale_multiplies_logits_that_start_the_same() -> None:
    """Down to a scale of a tenth; below, weights would exceed those of the law."""
    found = {}
    for scale in (1.0, 1 / 9, 0.01):
        options = NetworkOptions(output_scale=scale)
        network = MODELS["convnet"](options, classes=10)
        initialize(network, options, generator(), None)
        found[scale] = network(images()).detach(), weight_layers(network)[-1].weight.std().item()
    assert torch.allclose(found[1.0][0], found[1 / 9][0], atol=1e-5)
    assert found[1 / 9][1] == pytest.approx(9 * found[1.0][1])
    assert found[0.01][1] == pytest.approx(10 * found[1.0][1])
