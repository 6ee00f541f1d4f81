"""Muon: the momentum of each matrix is orthogonalized before it is subtracted (Jordan et al. 2024).

A convolution's filters are the rows of a matrix (outputs, inputs * places). The classifier and whatever has
fewer dimensions follow SGD or AdamW. Formulas are in docs/training.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the odd polynomial that takes singular values from (0, 1] to about 0.7 to 1.2. Jordan et al. 2024."""
_SMALLEST = 1e-7
RULE = "rule"
"""The entry of a parameter group that names its update rule."""

Group = dict[str, Any]
State = dict[str, Any]


class Muon(Optimizer):
    """Updates each parameter group by its ``rule``: muon, sgd or adamw. Weight decay is decoupled in all."""

    def __init__(
        self,
        groups: list[Group],
        *,
        lr: float,
        momentum: float,
        nesterov: bool,
        betas: tuple[float, float],
        eps: float,
        steps: int,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "nesterov": nesterov, "betas": betas, "eps": eps}
        super().__init__(groups, {**defaults, "steps": steps, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Make an update. A closure is not supported."""
        assert closure is None, "Muon takes no closure"
        for group in self.param_groups:
            rule = _RULES[group[RULE]]
            for each in group["params"]:
                if each.grad is not None:
                    change = rule(each.grad, self.state[each], group)
                    each.mul_(1 - group["lr"] * group["weight_decay"]).sub_(change)


def orthogonalized(matrix: Tensor, steps: int) -> Tensor:
    """Return about U V' of the matrix U S V' by ``steps`` steps of Newton and Schulz, without decomposing it.

    In bfloat16 on an accelerator, like the published code, in float32 on a CPU.
    """
    a, b, c = COEFFICIENTS
    x = matrix.to(torch.float32 if matrix.device.type == "cpu" else torch.bfloat16)
    is_tall = x.shape[0] > x.shape[1]
    x = x.T if is_tall else x
    x = x / x.norm().clamp(min=_SMALLEST)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    result: Tensor = (x.T if is_tall else x).to(matrix.dtype)
    return result


def _muon(gradient: Tensor, state: State, group: Group) -> Tensor:
    momentum = group["momentum"]
    velocity = _velocity(gradient, state)
    velocity.lerp_(gradient, 1 - momentum)
    direction = gradient.lerp(velocity, momentum) if group["nesterov"] else velocity
    matrix = direction.flatten(1)
    rows, columns = matrix.shape
    scale = group["lr"] * math.sqrt(max(1.0, rows / columns))
    change: Tensor = scale * orthogonalized(matrix, group["steps"]).view(gradient.shape)
    return change


def _sgd(gradient: Tensor, state: State, group: Group) -> Tensor:
    momentum = group["momentum"]
    velocity = _velocity(gradient, state)
    velocity.mul_(momentum).add_(gradient)
    direction = gradient + momentum * velocity if group["nesterov"] else velocity
    change: Tensor = group["lr"] * direction
    return change


def _adamw(gradient: Tensor, state: State, group: Group) -> Tensor:
    first, second = group["betas"]
    if not state:
        state.update(step=0, exp_avg=torch.zeros_like(gradient), exp_avg_sq=torch.zeros_like(gradient))
    state["step"] += 1
    mean, square = state["exp_avg"], state["exp_avg_sq"]
    mean.lerp_(gradient, 1 - first)
    square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
    root = (square / (1 - second ** state["step"])).sqrt_().add_(group["eps"])
    change: Tensor = group["lr"] / (1 - first ** state["step"]) * mean / root
    return change


def _velocity(gradient: Tensor, state: State) -> Tensor:
    if not state:
        state["momentum_buffer"] = torch.zeros_like(gradient)
    velocity: Tensor = state["momentum_buffer"]
    return velocity


_RULES: dict[str, Callable[[Tensor, State, Group], Tensor]] = {"muon": _muon, "sgd": _sgd, "adamw": _adamw}
