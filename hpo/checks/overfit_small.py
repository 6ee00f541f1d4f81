"""Can the network learn twenty examples by heart?

Source: CS231n lecture 6: take the first 20 examples, turn regularization off, and reach a training accuracy
of 1.0. What cannot do that will not learn 45,000.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hpo.checks.base import Finding

EXAMPLES = 20
STEPS = 60
"""Most steps taken. Of those that learn them, half need 11 or fewer (docs/checks.md)."""


def balanced_examples(labels: Tensor, count: int = EXAMPLES) -> Tensor:
    """Indices (count,) of the first examples of each class in turn; ``labels`` is (N,) int64."""
    order = torch.argsort(labels, stable=True)
    sizes = torch.bincount(labels)
    starts = torch.cumsum(sizes, 0) - sizes
    rank = torch.empty_like(labels)
    rank[order] = torch.arange(len(labels), device=labels.device) - starts[labels[order]]
    return torch.argsort(rank * len(sizes) + labels, stable=True)[:count]


def overfit_small(
    model: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, labels: Tensor
) -> Finding:
    """Train ``model`` on a few examples until it knows them or STEPS are over.

    ``model`` is a copy to be thrown away, ``optimizer`` is its own with regularization off; ``images`` is
    (n, C, H, W) float, ``labels`` (n,) int64. The value is the last training accuracy, the threshold 1.0.
    A miss is a note, not a warning: a small lr that learns in epochs does not learn in 60 steps.
    """
    model.train()
    _switch_off_dropout(model)
    accuracy, loss_value = 0.0, math.nan
    for step in range(1, STEPS + 1):
        logits = model(images).float()
        loss = F.cross_entropy(logits, labels)
        accuracy, loss_value = torch.stack(
            [(logits.argmax(1) == labels).float().mean(), loss.detach()]
        ).tolist()
        if accuracy == 1.0 or not math.isfinite(loss_value):
            return _finding(accuracy, loss_value, step, len(labels))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return _finding(accuracy, loss_value, STEPS, len(labels))


def _switch_off_dropout(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.eval()


def _finding(accuracy: float, loss: float, step: int, count: int) -> Finding:
    if accuracy == 1.0:
        message = f"learned {count} examples by heart in {step} steps"
        return Finding("overfit_small", "pass", accuracy, 1.0, message)
    if not math.isfinite(loss):
        message = f"the loss became {loss} after {step} steps on {count} examples"
        return Finding("overfit_small", "note", accuracy, 1.0, message, "lower lr")
    return Finding(
        "overfit_small",
        "note",
        accuracy,
        1.0,
        f"knew only {accuracy:.0%} of {count} examples after {step} steps at the full learning rate",
        "raise lr if the loss hardly moved, lower it if it jumped; or use batch_norm: before",
    )
