"""Optimizers against update rules written in numpy, and what is added to a step against hand-made cases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from hpo.checks.measure.setup import penalty
from hpo.config.configuration import Configuration
from hpo.training.optim import (
    StepRegularizer,
    build_optimizer,
    parameter_groups,
    regularized_parameters,
    set_learning_rate,
    weights_of,
)

Array = npt.NDArray[np.float64]
Rule = Callable[[dict[str, Array], Array, Array, int], Array]
"""(state, weight, gradient, step from 1) -> the new weight."""
LR, EPS = 0.05, 1e-8


def _net() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.PReLU(6), nn.Linear(6, 3)).double()


def _gradient_step(net: nn.Module, step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    inputs = torch.randn(8, 4, dtype=torch.float64, generator=generator)
    labels = torch.randint(3, (8,), generator=generator)
    net.zero_grad(set_to_none=True)
    nn.functional.cross_entropy(net(inputs), labels).backward()


def _sgd(momentum: float, nesterov: bool) -> Rule:
    def rule(state: dict[str, Array], weight: Array, gradient: Array, step: int) -> Array:
        velocity = state["v"] = momentum * state.get("v", np.zeros_like(weight)) + gradient
        return weight - LR * (gradient + momentum * velocity if nesterov else velocity)

    return rule


def _adagrad(state: dict[str, Array], weight: Array, gradient: Array, step: int) -> Array:
    squares = state["s"] = state.get("s", np.zeros_like(weight)) + gradient**2
    return weight - LR * gradient / (np.sqrt(squares) + EPS)


def _rmsprop(state: dict[str, Array], weight: Array, gradient: Array, step: int) -> Array:
    squares = state["s"] = 0.95 * state.get("s", np.zeros_like(weight)) + 0.05 * gradient**2
    velocity = 0.5 * state.get("v", np.zeros_like(weight)) + gradient / (np.sqrt(squares) + EPS)
    state["v"] = velocity
    return weight - LR * velocity


def _adam(state: dict[str, Array], weight: Array, gradient: Array, step: int) -> Array:
    mean = state["m"] = 0.8 * state.get("m", np.zeros_like(weight)) + 0.2 * gradient
    squares = state["s"] = 0.99 * state.get("s", np.zeros_like(weight)) + 0.01 * gradient**2
    return weight - LR * (mean / (1 - 0.8**step)) / (np.sqrt(squares / (1 - 0.99**step)) + EPS)


_ADAM = {"beta1": 0.8, "beta2": 0.99}
RULES: dict[str, tuple[dict[str, object], Rule]] = {
    "sgd": ({"optimizer": "sgd", "momentum": 0.0}, _sgd(0.0, False)),
    "momentum": ({"optimizer": "sgd", "momentum": 0.9}, _sgd(0.9, False)),
    "nesterov": ({"optimizer": "sgd", "momentum": 0.9, "nesterov": True}, _sgd(0.9, True)),
    "adagrad": ({"optimizer": "adagrad"}, _adagrad),
    "rmsprop": ({"optimizer": "rmsprop", "rms_decay": 0.95, "momentum": 0.5}, _rmsprop),
    "adam": ({"optimizer": "adam", **_ADAM}, _adam),
    "adamw": ({"optimizer": "adamw", **_ADAM}, _adam),
}


@pytest.mark.parametrize("name", RULES)
def test_twenty_steps_follow_the_update_rule(name: str) -> None:
    fields: Any
    fields, rule = RULES[name]
    configuration = Configuration(lr=LR, weight_decay=0.1, **fields)
    net = _net()
    optimizer = build_optimizer(net, configuration)
    decay = {id(weight): 0.1 for weight in (net[0].weight, net[3].weight)}
    expected = {id(p): p.detach().numpy().copy() for p in net.parameters()}
    states: dict[int, dict[str, Array]] = {key: {} for key in expected}
    for step in range(1, 21):
        _gradient_step(net, step)
        for p in net.parameters():
            assert p.grad is not None
            weight, gradient, wd = expected[id(p)], p.grad.numpy().copy(), decay.get(id(p), 0.0)
            if name == "adamw":  # decoupled: Loshchilov and Hutter, ICLR 2019
                weight = weight * (1 - LR * wd)
            else:
                gradient = gradient + wd * weight
            expected[id(p)] = rule(states[id(p)], weight, gradient, step)
        optimizer.step()
        for p in net.parameters():
            np.testing.assert_allclose(p.detach().numpy(), expected[id(p)], rtol=1e-9, atol=1e-12)


def test_biases_norms_and_prelu_are_not_regularized() -> None:
    net = _net()
    groups = parameter_groups(net, Configuration(weight_decay=0.1))
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]
    assert {id(p) for p in groups[0]["params"]} == {id(net[0].weight), id(net[3].weight)}
    assert sum(len(group["params"]) for group in groups) == len(list(net.parameters()))


def test_regularize_all_puts_every_parameter_into_one_group() -> None:
    net = _net()
    (group,) = parameter_groups(net, Configuration(weight_decay=0.1, regularize_all=True))
    assert len(group["params"]) == len(list(net.parameters()))


def test_frozen_parameters_are_left_alone() -> None:
    net = _net()
    net[0].weight.requires_grad_(False)
    assert [id(weight) for weight in weights_of(net)] == [id(net[3].weight)]
    assert all(
        id(net[0].weight) != id(p) for g in parameter_groups(net, Configuration()) for p in g["params"]
    )


def _single(values: list[list[float]], gradient: list[list[float]]) -> nn.Linear:
    layer = nn.Linear(2, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(values))
        layer.bias.copy_(torch.tensor([3.0, -4.0]))
    layer.weight.grad = torch.tensor(gradient)
    layer.bias.grad = torch.zeros(2)
    return layer


def test_l1_adds_its_subgradient_to_weights_only() -> None:
    layer = _single([[1.0, -2.0], [0.0, 4.0]], [[0.5, 0.5], [0.5, 0.5]])
    StepRegularizer(layer, Configuration(l1=0.1)).before_step()
    assert layer.weight.grad is not None
    torch.testing.assert_close(layer.weight.grad, torch.tensor([[0.6, 0.4], [0.5, 0.6]]))
    assert layer.bias.grad is not None
    assert layer.bias.grad.tolist() == [0.0, 0.0]


def test_gradient_clip_scales_the_global_norm() -> None:
    layer = _single([[1.0, 1.0], [1.0, 1.0]], [[3.0, 0.0], [0.0, 4.0]])  # norm 5
    StepRegularizer(layer, Configuration(gradient_clip=1.0)).before_step()
    torch.testing.assert_close(
        layer.weight.grad, torch.tensor([[0.6, 0.0], [0.0, 0.8]]), rtol=1e-5, atol=1e-6
    )


def test_gradient_clip_leaves_a_small_gradient_as_it_is() -> None:
    layer = _single([[1.0, 1.0], [1.0, 1.0]], [[0.3, 0.0], [0.0, 0.4]])
    StepRegularizer(layer, Configuration(gradient_clip=1.0)).before_step()
    torch.testing.assert_close(layer.weight.grad, torch.tensor([[0.3, 0.0], [0.0, 0.4]]))


def test_clipping_comes_before_l1() -> None:
    layer = _single([[1.0, 1.0], [1.0, 1.0]], [[3.0, 0.0], [0.0, 4.0]])
    StepRegularizer(layer, Configuration(gradient_clip=1.0, l1=0.1)).before_step()
    torch.testing.assert_close(
        layer.weight.grad, torch.tensor([[0.7, 0.1], [0.1, 0.9]]), rtol=1e-5, atol=1e-6
    )


def test_max_norm_scales_only_units_that_are_too_long() -> None:
    layer = _single([[3.0, 4.0], [0.3, 0.4]], [[0.0, 0.0], [0.0, 0.0]])
    StepRegularizer(layer, Configuration(max_norm=1.0)).after_step()
    torch.testing.assert_close(layer.weight.detach(), torch.tensor([[0.6, 0.8], [0.3, 0.4]]))
    assert layer.bias.tolist() == [3.0, -4.0]


def test_max_norm_of_a_convolution_is_per_filter() -> None:
    conv = nn.Conv2d(3, 5, 3).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with torch.no_grad():
        conv.weight.mul_(10)
    before = conv.weight.detach().clone()
    StepRegularizer(conv, Configuration(max_norm=2.0)).after_step()
    lengths = conv.weight.detach().flatten(1).norm(dim=1)
    torch.testing.assert_close(lengths, before.flatten(1).norm(dim=1).clamp(max=2.0), rtol=1e-5, atol=1e-5)
    assert conv.weight.is_contiguous(memory_format=torch.channels_last)


def test_nothing_changes_where_all_is_off() -> None:
    layer = _single([[30.0, 4.0], [0.3, 0.4]], [[3.0, 0.0], [0.0, 4.0]])
    regularizer = StepRegularizer(layer, Configuration())
    regularizer.before_step()
    regularizer.after_step()
    assert layer.weight.grad is not None
    assert layer.weight.grad.tolist() == [[3.0, 0.0], [0.0, 4.0]]
    assert layer.weight.tolist()[0] == [30.0, 4.0]


def test_penalty_of_regularized_parameters_is_its_formula() -> None:
    layer = _single([[1.0, -2.0], [0.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]])
    weights = regularized_parameters(layer, Configuration())
    assert penalty(weights, weight_decay=0.1, l1=0.01) == pytest.approx(0.05 * 21 + 0.01 * 7)
    everything = regularized_parameters(layer, Configuration(regularize_all=True))
    assert penalty(everything, weight_decay=0.1, l1=0.01) == pytest.approx(0.05 * (21 + 25) + 0.01 * (7 + 7))
    assert penalty(weights, weight_decay=0.0, l1=0.0) == 0.0
    assert penalty([], weight_decay=0.1, l1=0.01) == 0.0


def test_the_step_is_the_gradient_of_loss_and_penalty() -> None:
    configuration = Configuration(lr=1.0, momentum=0.0, weight_decay=0.1, l1=0.01)
    layer = _single([[1.0, -2.0], [0.5, 4.0]], [[0.0, 0.0], [0.0, 0.0]])
    before = layer.weight.detach().clone()
    optimizer = build_optimizer(layer, configuration)
    StepRegularizer(layer, configuration).before_step()
    optimizer.step()
    leaf = before.clone().requires_grad_()
    (0.05 * leaf.square().sum() + 0.01 * leaf.abs().sum()).backward()
    assert leaf.grad is not None
    torch.testing.assert_close(before - layer.weight.detach(), leaf.grad)


def test_norm_biases_have_their_factor_of_lr_and_their_own_decay() -> None:
    net = _net()
    configuration = Configuration(
        optimizer="sgd", lr=LR, momentum=0.0, weight_decay=0.01, norm_bias_lr_factor=64, regularize_all=True
    )
    optimizer = build_optimizer(net, configuration)
    before = {name: each.detach().clone() for name, each in net.named_parameters()}
    _gradient_step(net, 1)
    set_learning_rate(optimizer, LR / 2)
    optimizer.step()
    for name, each in net.named_parameters():
        lr = LR / 2 * (64 if name == "1.bias" else 1)
        assert each.grad is not None
        expected = before[name] - lr * each.grad - LR / 2 * 0.01 * before[name]
        torch.testing.assert_close(each.detach(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize(("momentum", "batch"), [(0.0, 256), (0.85, 1024), (0.9, 2048)])
def test_decoupled_rates_move_as_far_whatever_momentum_and_batch(
    nesterov: bool, momentum: float, batch: int
) -> None:
    """Under a constant gradient of 1: lr over 1,024 images, and the share weight_decay of the weight."""
    configuration = Configuration(
        lr=0.3, weight_decay=0.02, momentum=momentum, batch_size=batch, nesterov=nesterov, decoupled=True
    )
    for penalized, expected in ((False, 0.3), (True, 0.02 * 1000)):
        layer = nn.Linear(1, 1, bias=False).double()
        nn.init.constant_(layer.weight, 1000.0 if penalized else 0.0)
        optimizer = build_optimizer(layer, configuration)
        moved = []
        for _ in range(400):
            at = layer.weight.item()
            layer.weight.grad = torch.zeros_like(layer.weight) if penalized else torch.ones_like(layer.weight)
            with torch.no_grad():  # where it decays from stays the same, as the gradient does
                optimizer.step()
                moved.append(at - layer.weight.item())
                if penalized:
                    layer.weight.fill_(1000.0)
                else:
                    layer.weight.zero_()
        assert moved[-1] * 1024 / batch == pytest.approx(expected, rel=1e-9)


def test_other_optimizers_take_rates_as_they_are() -> None:
    configuration = Configuration(optimizer="adamw", lr=0.3, weight_decay=0.02, decoupled=True)
    group = build_optimizer(_net(), configuration).param_groups[0]
    assert (group["lr"], group["weight_decay"]) == (0.3, 0.02)
