"""Layer statistics against plain autograd and NumPy without hooks, and against the ten layers of CS231n."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hpo.checks.measure.examples import plain_forward
from hpo.checks.measure.probes import (
    ACTIVATIONS,
    LAYERS_OF_DEEP,
    LayerReader,
    Probe,
    StepMeter,
    layer_weights,
)
from hpo.checks.preflight import Snapshot
from hpo.models.activations import ACTIVATION_TYPES
from hpo.models.options import NetworkOptions
from hpo.models.resnet import Residual, resnet

IMAGES, CLASSES = 24, 10


def batch(channels: int = 3, side: int = 8) -> tuple[Tensor, Tensor]:
    return torch.randn(IMAGES, channels, side, side), torch.arange(IMAGES) % CLASSES


class Rows(nn.Module):
    """A Sequential with activation modules, and each layer's output by hand."""

    nonlinearities = ("ReLU", "Sigmoid", "")

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(216, 9), nn.Sigmoid()
        )
        self.classifier = nn.Linear(9, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.body(x))
        return logits

    def by_hand(self, x: Tensor) -> list[tuple[str, Tensor, Tensor]]:
        body: Any = self.body
        conv = F.conv2d(x, body[0].weight, body[0].bias)
        rectified = conv.clamp(min=0)
        hidden = rectified.flatten(1) @ body[3].weight.T + body[3].bias
        squashed = 1 / (1 + (-hidden).exp())
        logits = squashed @ self.classifier.weight.T + self.classifier.bias
        return [
            ("body.0", conv, rectified),
            ("body.3", hidden, squashed),
            ("classifier", logits, logits),
        ]


class Functional(nn.Module):
    """Activations are functions, which no hook sees: what reaches the next layer stands for them."""

    nonlinearities = ("", "", "")

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3)
        self.hidden = nn.Linear(5, 7)
        self.classifier = nn.Linear(7, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv(x)).mean((2, 3))
        logits: Tensor = self.classifier(F.relu(self.hidden(x)))
        return logits

    def by_hand(self, x: Tensor) -> list[tuple[str, Tensor, Tensor]]:
        conv = F.conv2d(x, self.conv.weight, self.conv.bias)
        pooled = conv.clamp(min=0).mean((2, 3))
        hidden = pooled @ self.hidden.weight.T + self.hidden.bias
        rectified = hidden.clamp(min=0)
        logits = rectified @ self.classifier.weight.T + self.classifier.bias
        return [("conv", conv, pooled), ("hidden", hidden, rectified), ("classifier", logits, logits)]


class Twice(nn.Module):
    """One layer is used twice: it counts where it is first."""

    nonlinearities = ("Tanh", "")

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Linear(192, 192)
        self.activation = nn.Tanh()
        self.classifier = nn.Linear(192, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.activation(self.shared(x.flatten(1)))
        logits: Tensor = self.classifier(self.activation(self.shared(x)))
        return logits

    def by_hand(self, x: Tensor) -> list[tuple[str, Tensor, Tensor]]:
        def shared(values: Tensor) -> Tensor:
            return values @ self.shared.weight.T + self.shared.bias

        first = shared(x.flatten(1))
        logits = shared(first.tanh()).tanh() @ self.classifier.weight.T + self.classifier.bias
        return [("shared", first, first.tanh()), ("classifier", logits, logits)]


NETWORKS = [Rows, Functional, Twice]
FLAT = {"Sigmoid": lambda a: (a < 0.02) | (a > 0.98), "Tanh": lambda a: np.abs(a) > 0.98}


def constant_units(values: Tensor) -> float:
    """The share of units (dimension 1) whose values are all the same."""
    array = np.moveaxis(values.detach().numpy(), 1, 0)
    return float(np.mean([len(np.unique(unit)) == 1 for unit in array]))


@pytest.mark.parametrize("build", NETWORKS)
def test_probes_activations_gradients_and_updates_are_those_without_hooks(build: type[Rows]) -> None:
    model = build()
    images, labels = batch()
    weight, bias = list(model.parameters())[:2]
    with torch.no_grad():  # no image moves the first unit, and all drive the second one wild
        bias[0] = -1e3
        weight[1] *= 30
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    meter = StepMeter(model)
    probe = Probe(model, plain_forward, images, labels)
    F.cross_entropy(model(images), labels).backward()
    before = {name: weight.detach().clone().numpy() for name, weight in layer_weights(model).items()}
    gradients = {
        name: weight.grad.clone().numpy()
        for name, weight in layer_weights(model).items()
        if weight.grad is not None
    }
    assert len(gradients) == len(before)
    meter.before()
    optimizer.step()
    shot = probe.snapshot(7, 0.1, meter.after()).read()

    expected = model.by_hand(images)
    assert (shot.step, shot.lr) == (7, 0.1)
    logits = expected[-1][2].detach().numpy().astype(np.float64)
    log_sum = np.log(np.exp(logits).sum(1))
    assert shot.loss == pytest.approx((log_sum - logits[range(IMAGES), labels]).mean(), rel=1e-5)
    assert shot.logit_spread == pytest.approx(logits.std(0, ddof=1).mean(), rel=1e-5)
    assert [layer.name for layer in shot.layers] == [name for name, _, _ in expected]
    assert tuple(layer.nonlinearity for layer in shot.layers) == build.nonlinearities
    for layer, (name, outputs, activations) in zip(shot.layers, expected, strict=True):
        values = activations.detach().numpy()
        assert layer.mean == pytest.approx(values.mean(), rel=1e-4, abs=1e-6)
        assert layer.std == pytest.approx(values.std(ddof=1), rel=1e-4)
        assert layer.dead == pytest.approx(constant_units(activations))
        assert layer.constant_outputs == pytest.approx(constant_units(outputs))
        if layer.nonlinearity in FLAT:
            assert layer.saturated == pytest.approx(FLAT[layer.nonlinearity](values).mean(), abs=1e-6)
        else:
            assert math.isnan(layer.saturated)
        after = dict(layer_weights(model))[name].detach().numpy()
        assert layer.gradient_norm == pytest.approx(np.linalg.norm(gradients[name]), rel=1e-4)
        assert layer.weight_norm == pytest.approx(np.linalg.norm(before[name]), rel=1e-4)
        change = np.linalg.norm(after - before[name])
        assert layer.update_ratio == pytest.approx(change / np.linalg.norm(before[name]), rel=1e-3)
    assert shot.layers[0].dead > 0


@pytest.mark.parametrize("build", NETWORKS)
def test_probes_hooks_are_gone_after_a_look(build: type[Rows]) -> None:
    model = build()
    images, labels = batch()
    Probe(model, plain_forward, images, labels).snapshot(0, 0.1, None)
    assert not any(module._forward_hooks for module in model.modules())
    with pytest.raises(ZeroDivisionError), LayerReader(model).listening():
        raise ZeroDivisionError
    assert not any(module._forward_hooks for module in model.modules())


def test_a_residual_network_is_read_in_the_order_of_its_forward_pass() -> None:
    options = NetworkOptions(width=4, batch_norm="none", activation="tanh")
    model = resnet(options, classes=CLASSES)
    images, labels = batch(side=16)
    shot = Probe(model, plain_forward, images, labels).snapshot(0, 0.1, None).read()

    model.requires_grad_(False)
    x = torch.tanh(F.conv2d(images, model.conv1.conv.weight, model.conv1.conv.bias, padding=1))
    expected = [x]
    for stage in (model.stage1, model.stage2, model.stage3):
        block = stage.block1
        assert isinstance(block, Residual)
        first = block.conv1.conv
        inside = torch.tanh(F.conv2d(x, first.weight, first.bias, stride=block.stride, padding=1))
        second = block.conv2.conv
        total = F.conv2d(inside, second.weight, second.bias, padding=1)
        x = torch.tanh(total + block._shortcut(x))
        expected += [inside, x]
    names = ["conv1.conv", *(f"stage{s}.block1.conv{c}.conv" for s in (1, 2, 3) for c in (1, 2))]
    assert [layer.name for layer in shot.hidden] == names
    for layer, values in zip(shot.hidden, expected, strict=True):
        assert layer.std == pytest.approx(float(values.std()), rel=1e-4)
        assert layer.mean == pytest.approx(float(values.mean()), abs=1e-5)
    assert shot.layers[-1].name == "head.classifier"
    assert shot.output_activation == ""


def test_probes_normalization_is_on_batch_statistics_in_a_look() -> None:
    model: Any = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
    model.append(nn.Linear(144, CLASSES))
    model.eval().requires_grad_(False)
    images, labels = batch()
    shot = Probe(model, plain_forward, images, labels).snapshot(0, 0.1, None).read()
    outputs = F.conv2d(images, model[0].weight)
    spread, mean = torch.std_mean(outputs, dim=(0, 2, 3), keepdim=True, unbiased=False)
    normalized = ((outputs - mean) / (spread**2 + 1e-5).sqrt()).clamp(min=0)
    assert shot.layers[0].std == pytest.approx(float(normalized.std()), rel=1e-4)
    assert not model.training


def ten_layers(activation: Callable[[], nn.Module], scale: Callable[[int], float]) -> Snapshot:
    """The lecture's experiment: ten layers of 500 units on 1000 Gaussian inputs, the weights scaled."""
    generator = torch.Generator().manual_seed(0)
    rows: list[nn.Module] = []
    for _ in range(10):
        linear = nn.Linear(500, 500, bias=False)
        linear.weight.data = torch.randn(500, 500, generator=generator) * scale(500)
        rows += [linear, activation()]
    model = nn.Sequential(*rows, nn.Linear(500, CLASSES))
    inputs = torch.randn(1000, 500, generator=generator)
    probe = Probe(model, plain_forward, inputs, torch.zeros(1000, dtype=torch.int64))
    snapshot = probe.snapshot(0, 0, None).read()
    assert len(snapshot.hidden) == 10
    return snapshot


def test_probes_lecture_small_weights_shrink_a_tanh_network() -> None:
    shot = ten_layers(nn.Tanh, lambda inputs: 0.01)
    stds = [layer.std for layer in shot.hidden]
    assert stds[:4] == pytest.approx([0.213, 0.048, 0.0106, 0.0024], rel=0.05)
    assert stds[9] < 1e-6
    assert all(abs(layer.mean) < 0.01 for layer in shot.hidden)


def test_probes_lecture_large_weights_saturate_a_tanh_network() -> None:
    shot = ten_layers(nn.Tanh, lambda inputs: 1.0)
    assert all(layer.std == pytest.approx(0.98, abs=0.02) for layer in shot.hidden)
    assert all(layer.saturated > 0.85 for layer in shot.hidden)


def test_probes_lecture_he_keeps_a_relu_network_alive() -> None:
    shot = ten_layers(nn.ReLU, lambda inputs: math.sqrt(2 / inputs))
    # After one layer: half of a Gaussian of variance 2. In 25 draws, means of all layers lie in 0.43 .. 0.68
    # and standard deviations in 0.66 .. 0.99; the slide's lie in 0.55 .. 0.62 and 0.81 .. 0.89.
    first = shot.layers[0]
    assert first.mean == pytest.approx(1 / math.sqrt(math.pi), rel=0.02)
    assert first.std == pytest.approx(math.sqrt(1 - 1 / math.pi), rel=0.02)
    assert all(0.43 < layer.mean < 0.68 and 0.66 < layer.std < 1.0 for layer in shot.hidden)
    assert all(layer.dead < 0.1 for layer in shot.hidden)


def test_probes_every_activation_of_the_models_is_known() -> None:
    assert {kind.__name__ for kind in ACTIVATION_TYPES} <= ACTIVATIONS


def test_probes_network_that_takes_images_one_by_one_has_no_dead_units() -> None:
    class OneByOne(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.hidden, self.head = nn.Linear(3, 8), nn.Linear(8, CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([self.head(self.hidden(each.mean((1, 2))[None]))[0] for each in x])

    shot = Probe(OneByOne(), plain_forward, *batch()).snapshot(0, 0.1, None).read()
    assert [(layer.name, layer.dead) for layer in shot.layers] == [("hidden", 0.0), ("head", 0.0)]


class Odd(nn.Module):
    """A layer of weights that is called by keyword, and one that gives more than a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.pair = Pair()
        self.classifier = nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        first, _ = self.pair(x.mean((2, 3)))
        logits: Tensor = self.classifier(input=first)
        return logits


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 3))

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        return x @ self.weight.T, None


def test_probes_layers_of_an_unusual_form_do_not_stop_a_look() -> None:
    images, labels = batch()
    shot = Probe(Odd(), plain_forward, images, labels).snapshot(0, 0.1, None).read()
    assert [layer.name for layer in shot.layers] == ["classifier"]


def test_probes_a_look_without_a_step_knows_no_update_and_no_gradient() -> None:
    model = Functional()
    shot = Probe(model, plain_forward, *batch()).snapshot(0, 0.1, None).read()
    assert all(math.isnan(layer.update_ratio) and math.isnan(layer.gradient_norm) for layer in shot.layers)
    norms = [float(np.linalg.norm(weight.detach())) for weight in layer_weights(model).values()]
    assert [layer.weight_norm for layer in shot.layers] == pytest.approx(norms, rel=1e-5)


def test_layers_of_a_deep_network_are_read_evenly_and_apart() -> None:
    """Of 600 layers 64 are read; what comes after another layer is not taken for theirs."""
    layers: list[nn.Module] = []
    for place in range(600):
        layers += [nn.Linear(3, 3), nn.ReLU() if place % 2 else nn.Tanh()]
    model = nn.Sequential(*layers, nn.Linear(3, CLASSES))
    images, labels = torch.randn(4, 3), torch.arange(4) % CLASSES
    meter = StepMeter(model)
    meter.before()
    shot = Probe(model, plain_forward, images, labels).snapshot(0, 0.1, meter.after()).read()
    names = [layer.name for layer in shot.layers]
    assert len(names) == len(set(names)) == LAYERS_OF_DEEP and (names[0], names[-1]) == ("0", "1200")
    for layer in shot.hidden:
        assert layer.nonlinearity == ("ReLU" if int(layer.name) // 2 % 2 else "Tanh")
        assert layer.update_ratio == 0 and layer.weight_norm > 0
