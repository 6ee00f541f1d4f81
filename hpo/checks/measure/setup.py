"""The facts that a model and an optimizer show before anything runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from hpo.checks.measure.memorize import peak_lr
from hpo.checks.measure.probes import NORMS, layer_weights
from hpo.checks.observations import Setup, Task

_Dropout = nn.modules.dropout._DropoutNd


def stated_setup(
    *,
    classes: int,
    task: Task | None = "classification",
    epochs: int | None,
    steps_per_epoch: int | None,
    settings: Mapping[str, Any],
    train_class_counts: Sequence[int] = (),
    val_class_counts: Sequence[int] = (),
    class_names: Sequence[str] = (),
) -> Setup:
    """Return what is stated of a training; nothing is known of its model and optimizers."""
    return Setup(
        classes=classes,
        optimizer="",
        lr=math.nan,
        momentum=0.0,
        weight_decay=0.0,
        epochs=epochs,
        steps_per_epoch=steps_per_epoch,
        settings=dict(settings),
        parameters=0,
        frozen=(),
        unoptimized=(),
        foreign_parameters=0,
        dropout=0.0,
        frozen_norms=(),
        train_class_counts=tuple(map(int, train_class_counts)),
        val_class_counts=tuple(map(int, val_class_counts)),
        class_names=tuple(class_names),
        task=task,
        optimizers=0,
    )


def read_setup(stated: Setup, model: nn.Module, optimizers: Sequence[Optimizer]) -> Setup:
    """Add what the model and the optimizers of a training that is about to start show."""
    named = dict(model.named_parameters())
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    # A loop without an optimizer updates all parameters by hand.
    optimized = (
        {id(each) for group in groups for each in group["params"]} if groups else set(map(id, named.values()))
    )
    largest: dict[str, Any] = max(groups, key=peak_lr) if groups else {}
    betas = largest.get("betas", (0.0, 0.0))
    return replace(
        stated,
        optimizer=type(optimizers[0]).__name__.lower() if optimizers else "",
        lr=peak_lr(largest),
        momentum=float(largest.get("momentum", betas[0])),
        weight_decay=max((float(group.get("weight_decay", 0.0)) for group in groups), default=0.0),
        parameters=sum(each.requires_grad for each in named.values()),
        frozen=tuple(name for name, each in named.items() if not each.requires_grad),
        unoptimized=tuple(
            name for name, each in named.items() if each.requires_grad and id(each) not in optimized
        ),
        foreign_parameters=len(optimized - {id(each) for each in named.values()}),
        dropout=max((module.p for module in model.modules() if isinstance(module, _Dropout)), default=0.0),
        frozen_norms=tuple(
            name
            for name, module in model.named_modules()
            if isinstance(module, NORMS) and module.track_running_stats and module.momentum == 0
        ),
        maximizes=any(group.get("maximize", False) for group in groups),
        optimizers=len(optimizers),
    )


def stated_penalty(model: nn.Module, setup: Setup) -> float | None:
    """Return what weight decay and L1 add to the loss, if the optimizer or the configuration has any."""
    decay, l1 = setup.weight_decay, float(setup.settings.get("l1") or 0.0)
    if decay == 0 and l1 == 0:
        return None
    return penalty(list(layer_weights(model).values()), decay, l1)


def penalty(weights: Sequence[Tensor], weight_decay: float, l1: float) -> float:
    """Return what regularization of ``weights`` adds to the loss: weight_decay / 2 * |w|^2 + l1 * |w|_1."""
    if not weights:
        return 0.0
    with torch.no_grad():
        squares = torch.stack([weight.float().square().sum() for weight in weights]).sum()
        absolutes = torch.stack([weight.float().abs().sum() for weight in weights]).sum()
        return float(weight_decay / 2 * squares + l1 * absolutes)
