"""Layers that stand still while others learn."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hpo import Babysitter
from hpo.checks.observations import Observations
from hpo.checks.rules.still_layers import still_layers
from tests.helpers.observed import LIMITS, NAN, layer, one, preflight, seen, setup, snapshot


def looks(first: dict[str, Any], *, steps: tuple[int, ...] = (0, 8, 32), **changes: Any) -> Observations:
    shots = [snapshot(layer("conv1", **first), layer("classifier"), step=step) for step in steps]
    start = snapshot(layer("conv1", update_ratio=NAN), layer("classifier", update_ratio=NAN), step=-1)
    return seen(snapshots=shots, **{"preflight": preflight(layers=start), **changes})


def test_still_layers_what_moves_is_quiet() -> None:
    assert still_layers(looks({}), LIMITS) == []
    assert still_layers(looks({"update_ratio": 0.0, "gradient_norm": 0.0}, steps=(0, 8)), LIMITS) == []


def test_still_layers_the_gradient_explains_a_still_layer() -> None:
    still = {"update_ratio": 0.0}
    one(still_layers(looks({**still, "gradient_norm": 0.0}), LIMITS), "warn", "vanishing_gradients")
    one(still_layers(looks({**still, "gradient_norm": NAN}), LIMITS), "warn", "detached")
    found = one(still_layers(looks(still), LIMITS), "warn", "frozen_parameters")
    assert found.layer == "conv1" and found.message.endswith("in 2 snapshots")


def test_still_layers_what_other_checks_report_is_not_reported_again() -> None:
    still = {"update_ratio": 0.0}
    assert still_layers(looks(still, setup=setup(frozen=("conv1.weight",))), LIMITS) == []
    assert still_layers(looks(still, setup=setup(unoptimized=("conv1.weight",))), LIMITS) == []
    dead = snapshot(layer("conv1", dead=1.0, update_ratio=NAN), layer("classifier"), step=-1)
    assert still_layers(looks(still, preflight=preflight(layers=dead)), LIMITS) == []


class Steps(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x.relu() * 4).round() / 4


def trained(model: nn.Sequential, rate: float) -> Observations:
    """Forty steps; the first linear layer has a group of its own."""
    images, labels = torch.randn(100, 3, 4, 4), torch.arange(100) % 10
    groups: list[dict[str, Any]] = [
        {"params": model[1].parameters(), "lr": rate},
        {"params": model[3].parameters()},
    ]
    optimizer = torch.optim.SGD(groups[::-1], lr=0.05)
    with Babysitter(model, optimizer, classes=10, epochs=1, steps_per_epoch=40) as sitter:
        sitter.before(images, labels)
        for _ in range(40):
            loss = F.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, labels)
    return sitter.seen


def network(activation: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 24), activation, nn.Linear(24, 10))


def test_still_layers_in_real_trainings() -> None:
    assert still_layers(trained(network(nn.ReLU()), 0.05), LIMITS) == []
    one(still_layers(trained(network(nn.ReLU()), 0.0), LIMITS), "warn", "frozen_parameters")
    found = one(still_layers(trained(network(Steps()), 0.05), LIMITS), "warn", "vanishing_gradients")
    assert found.layer == "1" and found.remedy.change == {"code": "replace_hidden_activation"}


def test_still_layers_behind_an_activation_at_the_end_it_is_dropped() -> None:
    still = {"update_ratio": 0.0, "gradient_norm": 0.0}
    last = layer("head", nonlinearity="ReLU", **still)
    shots = [
        snapshot(layer("conv1", **still), layer("conv2"), last, step=step, lr=0.1) for step in (0, 8, 32)
    ]
    start = snapshot(layer("conv1"), layer("conv2"), layer("head", nonlinearity="ReLU"), step=-1)
    found = one(still_layers(seen(snapshots=shots, preflight=preflight(layers=start)), LIMITS), "warn")
    assert found.remedy.change == {"code": "remove_output_activation"}
    assert "drop ReLU after the last layer" in found.remedy.text
