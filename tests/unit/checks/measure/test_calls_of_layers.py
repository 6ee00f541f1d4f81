"""Layers that are called several times, and computations after the last one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hpo.checks.measure.examples import plain_forward
from hpo.checks.measure.probes import LayerReader, Probe

CLASSES = 10


class Equilibrium(nn.Module):
    """A state that starts at 0 and is updated by the same layer again and again."""

    def __init__(self, *, outer_first: bool) -> None:
        super().__init__()
        self.outer, self.inward = nn.Linear(5, 16), nn.Linear(16, 16)
        self.classifier = nn.Linear(16, CLASSES)
        self._outer_first = outer_first

    def forward(self, x: Tensor) -> Tensor:
        z = torch.zeros(len(x), 16)
        given = self.outer(x)
        for _ in range(6):
            z = (self.inward(z) + (given if self._outer_first else self.outer(x))).tanh()
        logits: Tensor = self.classifier(z)
        return logits


@pytest.mark.parametrize("outer_first", [True, False])
def test_probes_a_layer_called_again_is_not_its_first_call(outer_first: bool) -> None:
    probe = Probe(
        Equilibrium(outer_first=outer_first), plain_forward, torch.randn(9, 5), torch.arange(9), CLASSES
    )
    shot = probe.snapshot(0, 0.1, None, histograms=True).read()
    assert [layer.name for layer in shot.layers] == ["outer", "inward", "classifier"]
    assert [(layer.dead, layer.constant_outputs) for layer in shot.layers] == [(0.0, 0.0)] * 3
    assert all(layer.std > 0 and len(layer.counts) > 1 for layer in shot.layers)


class DeadCell(nn.Module):
    """A cell whose units give the same in every call."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.relu, self.classifier = nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, CLASSES)
        nn.init.constant_(self.cell.bias, -100.0)

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(3):
            x = self.relu(self.cell(x))
        logits: Tensor = self.classifier(x)
        return logits


def test_probes_a_layer_dead_in_every_call_is_dead() -> None:
    shot = Probe(DeadCell(), plain_forward, torch.randn(9, 5), torch.arange(9), CLASSES).snapshot(
        0, 0.1, None
    )
    cell = shot.read().layers[0]
    assert (cell.name, cell.nonlinearity, cell.dead) == ("cell", "ReLU", 1.0)


ENDS: list[tuple[nn.Module, Callable[[Tensor], Tensor], str]] = [
    (nn.ReLU(), lambda x: x, "ReLU"),
    (nn.Softmax(1), lambda x: x.view(len(x), CLASSES, 1), "Softmax"),
    (nn.Sigmoid(), lambda x: x.double(), "Sigmoid"),
    (nn.ReLU(), lambda x: F.linear(x, torch.randn(CLASSES, CLASSES)), ""),
    (nn.Tanh(), lambda x: 0.1 * x, ""),
    (nn.Sigmoid(), lambda x: x @ torch.rand(CLASSES, 3), ""),
]


@pytest.mark.parametrize(("activation", "after", "ending"), ENDS)
def test_layer_reader_ends_with_what_the_outputs_are(
    activation: nn.Module, after: Callable[[Tensor], Tensor], ending: str
) -> None:
    model = nn.Sequential(nn.Linear(5, CLASSES), activation)
    reader = LayerReader(model)
    with reader.listening():
        outputs = after(model(torch.randn(9, 5)))
    assert reader.ends_with(outputs) == ending
