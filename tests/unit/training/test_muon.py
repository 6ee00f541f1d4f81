"""Muon against torch's own, which takes matrices alone, and against singular values in numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from hpo.config.configuration import Configuration
from hpo.models.catalog import MODELS
from hpo.models.options import NetworkOptions
from hpo.training.muon import COEFFICIENTS, RULE, orthogonalized
from hpo.training.optim import build_optimizer, parameter_groups, set_learning_rate

LR = 0.02


@pytest.mark.parametrize("shape", [(6, 20), (20, 6), (8, 8)])
def test_singular_values_follow_the_polynomial(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    left, values, right = np.linalg.svd(matrix.double().numpy(), full_matrices=False)
    values = values / np.linalg.norm(values)
    for _ in range(5):
        a, b, c = COEFFICIENTS
        values = a * values + b * values**3 + c * values**5
    assert values.min() > 0.6 and values.max() < 1.3
    np.testing.assert_allclose(orthogonalized(matrix, 5).numpy(), left * values @ right, atol=1e-4)


class _Net(nn.Module):
    """A convolution, a hidden layer, a normalization and a classifier."""

    conv: nn.Conv2d
    hidden: nn.Linear

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3)
        self.hidden = nn.Linear(16, 6)
        self.norm = nn.BatchNorm1d(6)
        self.classifier = nn.Linear(6, 3)


def _gradients(net: nn.Module, step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    for each in net.parameters():
        each.grad = torch.randn(each.shape, generator=generator)


@pytest.mark.parametrize("nesterov", [False, True])
def test_matrices_move_as_under_torchs_muon(nesterov: bool) -> None:
    """torch's computes in bfloat16, and takes a convolution's filters as rows of a matrix."""
    configuration = Configuration(
        optimizer="muon", lr=LR, momentum=0.9, nesterov=nesterov, weight_decay=0.1, rest_lr=1e-3
    )
    net, twin = _Net(), _Net()
    optimizer = build_optimizer(net, configuration)
    matrices = [nn.Parameter(each.weight.detach().flatten(1).clone()) for each in (twin.conv, twin.hidden)]
    reference = torch.optim.Muon(matrices, lr=LR, momentum=0.9, nesterov=nesterov, weight_decay=0.1)
    for step in range(5):
        _gradients(net, step)
        for matrix, weight in zip(matrices, (net.conv.weight, net.hidden.weight), strict=True):
            assert weight.grad is not None
            matrix.grad = weight.grad.flatten(1).clone()
        optimizer.step()
        reference.step()
    for matrix, weight in zip(matrices, (net.conv.weight, net.hidden.weight), strict=True):
        torch.testing.assert_close(weight.detach().flatten(1), matrix.detach(), rtol=0, atol=LR / 20)


RESTS: dict[str, Callable[[list[nn.Parameter]], Optimizer]] = {
    "sgd": lambda rest: SGD(rest, lr=0.3, momentum=0.9, nesterov=True),
    "adamw": lambda rest: AdamW(rest, lr=0.3, betas=(0.8, 0.95), eps=1e-8, weight_decay=0.0),
}


@pytest.mark.parametrize("rule", RESTS)
def test_the_rest_moves_as_under_torchs_own(rule: Any) -> None:
    configuration = Configuration(
        optimizer="muon", rest_optimizer=rule, rest_lr=0.3, lr=LR, momentum=0.9, nesterov=True,
        beta1=0.8, beta2=0.95, weight_decay=0.0,
    )  # fmt: skip
    net, twin = _Net(), _Net()
    optimizer = build_optimizer(net, configuration)
    rest = [each for name, each in twin.named_parameters() if name not in ("conv.weight", "hidden.weight")]
    reference = RESTS[rule](rest)
    for step in range(5):
        for each in (net, twin):
            _gradients(each, step)
        set_learning_rate(optimizer, LR)
        optimizer.step()
        reference.step()
    moved = [each for name, each in net.named_parameters() if name not in ("conv.weight", "hidden.weight")]
    for one, other in zip(moved, rest, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_hidden_matrices_are_muons_and_the_classifier_is_not(model: str) -> None:
    network = MODELS[model](NetworkOptions(width=2), classes=3)
    groups = parameter_groups(network, Configuration(optimizer="muon", lr=0.02, rest_lr=0.001))
    names = {id(each): name for name, each in network.named_parameters()}
    ruled = {names[id(each)]: group[RULE] for group in groups for each in group["params"]}
    assert set(ruled) == set(names.values())
    assert ruled["head.classifier.weight"] == "adamw"
    assert all(rule == "adamw" for name, rule in ruled.items() if not name.endswith("weight"))
    muons = [name for name, rule in ruled.items() if rule == "muon"]
    assert muons and all(network.get_parameter(name).ndim >= 2 for name in muons)
    assert {group.get("lr_factor") for group in groups if group[RULE] == "adamw"} == {0.05}
