"""Loops of all kinds, as users write them, to be run with and without a babysitter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STEPS = 10
"""Snapshots of layers are taken at steps 0 and 8, and at 9 by the preset ``full``."""
Watch = Callable[..., Any]
"""``Babysitter``, or what returns a babysitter that does nothing."""
Loop = Callable[[Watch], tuple[nn.Module, list[Tensor]]]
"""Trains a model; returns it and what it put out on the way."""
KINDS: dict[str, Loop] = {}


def kind(loop: Loop) -> Loop:
    KINDS[loop.__name__] = loop
    return loop


class Body(nn.Module):
    """A network around which ``take`` and ``give`` say what goes in and comes out."""

    def __init__(self, take: Callable[[Any], Tensor], give: Callable[[Tensor], Any] = lambda x: x) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.2))
        self.last = nn.Linear(12, 3)
        self.take, self.give = take, give

    def forward(self, batch: Any) -> Any:
        return self.give(self.last(self.layers(self.take(batch))))


def classes(count: int = 24) -> Tensor:
    return torch.arange(count) % 3


def numbers(count: int = 24) -> Tensor:
    return torch.randn(count, 8) + F.one_hot(classes(count), 8)


def train(
    watch: Watch,
    model: nn.Module,
    make: Callable[[], Any] = numbers,
    *,
    loss: Callable[[Any, Any], Tensor] = F.cross_entropy,
    labels: Callable[[], Any] = classes,
    call: Callable[[nn.Module, Any], Any] = lambda model, batch: model(batch),
    optimizer: torch.optim.Optimizer | None = None,
    between: Callable[[nn.Module], None] = lambda model: None,
    evaluate: bool = True,
    **options: Any,
) -> tuple[nn.Module, list[Tensor]]:
    """Two epochs as usual: all calls of a babysitter are made."""
    step = optimizer or torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    sitter = watch(model, step, epochs=2, steps_per_epoch=STEPS // 2, **options)
    sitter.before(make(), labels(), make(), labels())
    losses = []
    for _ in range(2):
        model.train()
        for _ in range(STEPS // 2):
            batch, targets = make(), labels()
            value = loss(call(model, batch), targets)
            step.zero_grad()
            value.backward()
            step.step()
            sitter.step(value, targets)
            losses.append(value.detach())
        between(model)
        if evaluate:
            model.eval()
            with torch.no_grad():
                losses.append(loss(call(model, make()), labels()))
        sitter.epoch(train_loss=float(losses[-1]), val_loss=float(losses[-1]), val_accuracy=0.5)
    sitter.after()
    sitter.verdict()
    return model, losses
