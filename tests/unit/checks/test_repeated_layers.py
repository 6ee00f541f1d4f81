"""Sound networks that call a layer again and again, or compute their outputs after the last module."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import hpo


class Equilibrium(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inward, self.outer, self.head = nn.Linear(16, 16), nn.Linear(2, 16), nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        z = x.new_zeros(len(x), 16)
        for _ in range(4):
            z = torch.tanh(self.inward(z) + self.outer(x))
        logits: Tensor = self.head(z)
        return logits


class Wrapped(nn.Module):
    """The last module that runs is an activation; a function computes the outputs from it."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, 16), activation)
        self.weight = nn.Parameter(torch.randn(2, 16) / 4)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(self.body(x), self.weight)


@pytest.mark.parametrize(
    "model", [Equilibrium(), Wrapped(nn.ReLU()), Wrapped(nn.Tanh())], ids=["equilibrium", "relu", "tanh"]
)
def test_sound_network_of_an_odd_form_is_not_blamed(model: nn.Module) -> None:
    x = torch.randn(320, 2, generator=torch.Generator().manual_seed(0))
    y = (x[:, 0] > 0).long()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    babysitter = hpo.Babysitter(model, optimizer, epochs=4, steps_per_epoch=16)
    babysitter.before(x[:256], y[:256])
    for _ in range(4):
        for step in range(16):
            rows = slice(16 * step, 16 * step + 16)
            loss = F.cross_entropy(model(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            babysitter.step(loss, y[rows])
        with torch.no_grad():
            right = (model(x[256:]).argmax(1) == y[256:]).float().mean().item()
        babysitter.epoch(val_accuracy=right, val_images=64)
    assert right > 0.8
    assert [each.check for each in babysitter.findings if each.severity in ("warn", "fatal")] == []
