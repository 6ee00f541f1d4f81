"""A network is left as it was, however it changes itself in a forward pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hpo.checks.measure.examples import plain_forward
from hpo.checks.measure.probes import Probe
from hpo.checks.measure.untouched import undisturbed

IMAGES, CLASSES = 24, 10


def batch() -> tuple[Tensor, Tensor]:
    return torch.randn(IMAGES, 3, 8, 8), torch.arange(IMAGES) % CLASSES


class Unlucky(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise ZeroDivisionError


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("batch_statistics", [False, True])
def test_probes_undisturbed_leaves_no_trace(batch_statistics: bool, fails: bool) -> None:
    model: Any = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.RReLU(), nn.Sequential(nn.BatchNorm2d(4))
    )
    if fails:
        model.append(Unlucky())
    model[1].eval()
    modes = [module.training for module in model.modules()]
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    images, _ = batch()
    generator = torch.random.get_rng_state()

    def use() -> None:
        with undisturbed(model, batch_statistics=batch_statistics):
            assert model[4][0].training == model[1].training == batch_statistics
            assert not model[2].training and not model[3].training
            torch.rand(3)
            model(images + torch.rand(1))

    if fails:
        with pytest.raises(ZeroDivisionError):
            use()
    else:
        use()
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(buffer, buffers[name]) for name, buffer in model.named_buffers())
    assert torch.equal(torch.random.get_rng_state(), generator)


class SelfChanging(nn.Module):
    """A forward pass changes its input, counts in an attribute, and reassigns a buffer."""

    running: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.classifier = nn.Linear(3, CLASSES)
        self.calls = 0
        self.register_buffer("running", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.seen = x.shape
        self.running = self.running + np.random.random() + x.mean().detach()
        logits: Tensor = self.classifier(x.mul_(2).mean((2, 3)) * self.calls)
        return logits


def test_probes_leave_what_a_network_changes_of_itself() -> None:
    model, (images, labels) = SelfChanging(), batch()
    running, before = model.running, images.clone()
    drawn = np.random.get_state()
    probe = Probe(model, plain_forward, images, labels)
    losses = [float(probe.loss(batch_statistics=True)) for _ in range(2)]
    assert losses[0] == losses[1] and torch.equal(images, before)
    assert model.calls == 0 and not hasattr(model, "seen")
    assert model.running is running and float(running) == 0.0
    assert str(np.random.get_state()) == str(drawn)  # its position too
