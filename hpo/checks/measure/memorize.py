"""Train a copy of a network on a few examples until it memorizes them."""

from __future__ import annotations

import copy
import math
import time
from types import FunctionType, MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import LBFGS, Optimizer

from hpo.checks.measure.examples import Forward
from hpo.checks.measure.nested import mapped
from hpo.checks.measure.untouched import STOCHASTIC
from hpo.checks.preflight import Memorization
from hpo.heartbeat import beat

EXAMPLES = 20
STEPS = 60
"""Largest number of steps. Of the networks that memorize, half need at most 11 (docs/checks.md)."""


def balanced_examples(labels: Tensor, count: int = EXAMPLES) -> Tensor:
    """Return indices (count,) of the first examples of each class in turn; ``labels`` is (N,) int64."""
    order = torch.argsort(labels, stable=True)
    sizes = torch.bincount(labels)
    starts = torch.cumsum(sizes, 0) - sizes
    rank = torch.empty_like(labels)
    rank[order] = torch.arange(len(labels), device=labels.device) - starts[labels[order]]
    return torch.argsort(rank * len(sizes) + labels, stable=True)[:count]


def memorize(
    model: nn.Module,
    optimizer: Optimizer,
    forward: Forward,
    images: Any,
    labels: Tensor,
    *,
    seconds: float = math.inf,
) -> Memorization | None:
    """Train a copy on ``images`` (n, C, H, W) and ``labels`` (n,) until memorized, at most STEPS.

    The copy has its own optimizer, at the peak learning rate and without weight decay; dropout is off.
    Returns None if no copy can be trained: with L-BFGS, with weights that torch cannot copy, or by an
    optimizer that takes no plain steps; and if it takes more than ``seconds`` of processor time.
    """
    started = time.process_time()
    copies = _copies(model, optimizer)
    if copies is None:
        return None
    trainee, optimizer = copies
    before = {name: parameter.detach().clone() for name, parameter in trainee.named_parameters()}
    losses: list[float] = []
    accuracy, steps = 0.0, 0
    while True:
        logits = forward(trainee, images)
        loss = F.cross_entropy(logits, labels)
        hits = (logits.argmax(1) == labels).float().mean()
        accuracy, value = torch.stack([hits, loss.detach()]).tolist()
        losses.append(value)
        if accuracy == 1.0 or not math.isfinite(value) or steps == STEPS or not loss.requires_grad:
            break
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        try:
            optimizer.step()
        except Exception:  # of the user's: it may need a closure, or more than one pass
            return None
        steps += 1
        beat()
        if time.process_time() - started > seconds:
            return None
    with torch.no_grad():
        blank = float(F.cross_entropy(forward(trainee, mapped(images, torch.zeros_like)), labels))
        unchanged = [name for name, now in trainee.named_parameters() if torch.equal(now, before[name])]
    return Memorization(
        examples=len(labels),
        accuracy=accuracy,
        steps=steps,
        first_loss=losses[0],
        last_loss=losses[-1],
        blank_loss=blank,
        unchanged=tuple(unchanged) if steps > 0 else (),
    )


def _copies(model: nn.Module, optimizer: Optimizer) -> tuple[nn.Module, Optimizer] | None:
    """Copy both, so that the optimizer's parameters are the model's."""
    if isinstance(optimizer, LBFGS):
        return None
    try:
        memo: dict[int, Any] = {}
        trainee, optimizer = copy.deepcopy(model, memo), _twin(optimizer, memo)
    except Exception:  # by the user's objects: a lock, an open file, a tensor that a computation gave
        return None
    if not all(each.is_leaf for each in trainee.parameters()):
        return None  # the copy of a scripted model gives its gradients to the original
    trainee.train()
    for module in trainee.modules():
        if isinstance(module, STOCHASTIC):
            module.eval()
    for group in optimizer.param_groups:
        group["lr"] = peak_lr(group)
        group["weight_decay"] = 0.0
    return trainee, optimizer


def _twin(optimizer: Optimizer, memo: dict[int, Any]) -> Optimizer:
    """Return a deep copy that has what a class of the user's has added; ``Optimizer`` itself drops it."""
    twin = copy.deepcopy(optimizer, memo)
    added = {
        name: value
        for name, value in vars(optimizer).items()
        if name not in vars(twin) and not hasattr(type(optimizer), name)  # a scheduler replaces step
    }
    if any(isinstance(each, (FunctionType, MethodType)) for each in added.values()):
        raise ValueError("a function may know the original")
    for name, value in added.items():
        is_inner = isinstance(value, Optimizer)
        setattr(twin, name, _twin(value, memo) if is_inner else copy.deepcopy(value, memo))
    return twin


def peak_lr(group: dict[str, float]) -> float:
    """Return the largest learning rate of a parameter group, as far as torch's schedulers record it."""
    return max(float(group.get(name) or 0.0) for name in ("lr", "initial_lr", "max_lr"))
