"""Optimizers, and the additions to their step: L1, max-norm and gradient clipping.

Formulas and sources are in docs/training.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop

from hpo.config.configuration import Configuration
from hpo.models.whitening import late_filters
from hpo.training.muon import RULE, Muon
from hpo.training.schedules import peak_learning_rate, weight_decay

ParameterGroups: TypeAlias = list[dict[str, Any]]

_NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)
_UNREGULARIZED_MODULES = (*_NORMS, nn.PReLU)
LR_FACTOR = "lr_factor"
"""The entry of a parameter group that multiplies its learning rate; 1 without it."""


def build_optimizer(module: nn.Module, configuration: Configuration) -> Optimizer:
    """Build the configuration's optimizer for ``module``, at the peak learning rate.

    Weight decay is L2, ``w -= lr * weight_decay * w`` through the gradient (decoupled under adamw).
    """
    return OPTIMIZERS[configuration.optimizer](parameter_groups(module, configuration), configuration)


def parameter_groups(module: nn.Module, configuration: Configuration) -> ParameterGroups:
    """Return two parameter groups, regularized and not, and two of what differs; empty ones are left out.

    Biases of normalizations are apart if they have another learning rate. So are parameters that begin to
    train later: torch's fused SGD expects that all of a group have a velocity, or none.
    """
    factor, decay = configuration.norm_bias_lr_factor, weight_decay(configuration)
    biases = _norm_biases(module) if factor != 1 else []
    late = late_filters(module) if configuration.stem_frozen_share > 0 else []
    apart = {id(parameter) for parameter in (*biases, *late)}
    weights = [each for each in regularized_parameters(module, configuration) if id(each) not in apart]
    chosen = apart | {id(parameter) for parameter in weights}
    others = [each for each in module.parameters() if each.requires_grad and id(each) not in chosen]
    of_biases = decay / factor if configuration.regularize_all else 0.0
    groups = [
        {"params": weights, "weight_decay": decay},
        {"params": others, "weight_decay": 0.0},
        {"params": biases, "weight_decay": of_biases, LR_FACTOR: factor},
        {"params": late, "weight_decay": decay},
    ]
    if configuration.optimizer == "muon":
        groups = [part for group in groups for part in _parts_of_muon(group, module, configuration)]
    return [group for group in groups if group["params"]]


def _parts_of_muon(group: dict[str, Any], module: nn.Module, configuration: Configuration) -> ParameterGroups:
    """Split a group into the matrices of hidden layers, and the rest with its own rule and rate."""
    weights = [layer.weight for layer in module.modules() if isinstance(layer, nn.Linear | _ConvNd)]
    hidden = {id(each) for each in weights[:-1]}
    factor = group.get(LR_FACTOR, 1.0) * configuration.rest_lr / configuration.lr
    matrices = [each for each in group["params"] if id(each) in hidden]
    others = [each for each in group["params"] if id(each) not in hidden]
    return [
        {**group, "params": matrices, RULE: "muon"},
        {**group, "params": others, RULE: configuration.rest_optimizer, LR_FACTOR: factor},
    ]


def set_learning_rate(optimizer: Optimizer, lr: float) -> None:
    """Set the rate of each group for the next step."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get(LR_FACTOR, 1.0)


def _norm_biases(module: nn.Module) -> list[nn.Parameter]:
    found: dict[int, nn.Parameter] = {}
    for owner in module.modules():
        if isinstance(owner, _NORMS) and owner.bias is not None and owner.bias.requires_grad:
            found[id(owner.bias)] = owner.bias
    return list(found.values())


def regularized_parameters(module: nn.Module, configuration: Configuration) -> list[nn.Parameter]:
    """Return what weight decay and L1 act on: weights; with ``regularize_all`` also biases and norms."""
    if configuration.regularize_all:
        return [parameter for parameter in module.parameters() if parameter.requires_grad]
    return weights_of(module)


def weights_of(module: nn.Module) -> list[nn.Parameter]:
    """Return the trainable parameters with two or more dimensions outside norms and PReLU."""
    found: dict[int, nn.Parameter] = {}
    for owner in module.modules():
        if not isinstance(owner, _UNREGULARIZED_MODULES):
            own = owner.parameters(recurse=False)
            found |= {id(each): each for each in own if each.requires_grad and each.ndim >= 2}
    return list(found.values())


def _sgd(groups: ParameterGroups, configuration: Configuration) -> Optimizer:
    return SGD(
        groups,
        lr=peak_learning_rate(configuration),
        momentum=configuration.momentum,
        nesterov=configuration.nesterov and configuration.momentum > 0,
        **_implementation(groups),
    )


def _adagrad(groups: ParameterGroups, configuration: Configuration) -> Optimizer:
    return Adagrad(
        groups,
        lr=peak_learning_rate(configuration),
        eps=configuration.optimizer_epsilon,
        **_implementation(groups),
    )


def _rmsprop(groups: ParameterGroups, configuration: Configuration) -> Optimizer:
    return RMSprop(
        groups,
        lr=peak_learning_rate(configuration),
        alpha=configuration.rms_decay,
        eps=configuration.optimizer_epsilon,
        momentum=configuration.momentum,
        foreach=True,  # torch has no fused RMSprop
    )


def _adam(groups: ParameterGroups, configuration: Configuration) -> Optimizer:
    return Adam(groups, **_adam_arguments(groups, configuration))


def _adamw(groups: ParameterGroups, configuration: Configuration) -> Optimizer:
    return AdamW(groups, **_adam_arguments(groups, configuration))


def _muon(groups: ParameterGroups, configuration: Configuration) -> Optimizer:
    return Muon(
        groups,
        lr=configuration.lr,
        momentum=configuration.momentum,
        nesterov=configuration.nesterov,
        betas=(configuration.beta1, configuration.beta2),
        eps=configuration.optimizer_epsilon,
        steps=configuration.muon_steps,
    )


def _adam_arguments(groups: ParameterGroups, configuration: Configuration) -> dict[str, Any]:
    return {
        "lr": peak_learning_rate(configuration),
        "betas": (configuration.beta1, configuration.beta2),
        "eps": configuration.optimizer_epsilon,
        **_implementation(groups),
    }


def _implementation(groups: ParameterGroups) -> dict[str, bool]:
    """Choose fused where torch has it (CPU and CUDA): one pass over memory instead of one per operation."""
    fused = all(each.device.type in ("cpu", "cuda") for group in groups for each in group["params"])
    return {"fused": True} if fused else {"foreach": True}


OPTIMIZERS: dict[str, Callable[[ParameterGroups, Configuration], Optimizer]] = {
    "sgd": _sgd,
    "adagrad": _adagrad,
    "rmsprop": _rmsprop,
    "adam": _adam,
    "adamw": _adamw,
    "muon": _muon,
}


class StepRegularizer:
    """Changes gradients before and weights after each optimizer step; costs nothing if off."""

    def __init__(self, module: nn.Module, configuration: Configuration) -> None:
        self._parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        self._weights = weights_of(module)
        self._l1_parameters = regularized_parameters(module, configuration)
        self._clip = configuration.gradient_clip
        self._l1 = configuration.l1
        self._max_norm = configuration.max_norm

    def before_step(self) -> None:
        """Clip the gradient of the loss by its global L2 norm, then add L1's subgradient ``l1 * sign(w)``."""
        if self._clip is not None:
            nn.utils.clip_grad_norm_(self._parameters, self._clip, foreach=True)
        if self._l1 > 0:
            used = [each for each in self._l1_parameters if each.grad is not None]
            gradients = [each.grad for each in used if each.grad is not None]
            torch._foreach_add_(gradients, torch._foreach_sign(_detached(used)), alpha=self._l1)

    def after_step(self) -> None:
        """Scale each unit's incoming weights down to an L2 norm of at most ``max_norm``."""
        if self._max_norm is not None:
            for weight in _detached(self._weights):
                torch.renorm(weight, p=2, dim=0, maxnorm=self._max_norm, out=weight)


def _detached(parameters: list[nn.Parameter]) -> list[Tensor]:
    return [parameter.detach() for parameter in parameters]
