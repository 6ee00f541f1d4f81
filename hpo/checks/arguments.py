"""What a loop may pass to a babysitter. A wrong argument is one clear error, at once."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any, cast, get_args

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from hpo.checks.observations import Task
from hpo.errors import UserError

TASKS: tuple[Task, ...] = get_args(Task)


def optimizers_of(given: object) -> tuple[Optimizer, ...]:
    """Return the optimizers of a loop: none, one or several. Raises ``UserError`` for anything else."""
    several = given if isinstance(given, Sequence) else () if given is None else (given,)
    for each in several:
        if not isinstance(each, Optimizer):
            raise UserError(
                f"optimizer: {type(each).__name__} is not a torch.optim.Optimizer. Pass one, a list of them, "
                "or None if the loop updates the weights itself."
            )
    return tuple(several)


def check_model(model: object) -> None:
    """Raise ``UserError`` unless ``model`` has something to train."""
    if not isinstance(model, nn.Module):
        raise UserError(f"model: {type(model).__name__} is not a torch.nn.Module.")
    if next(model.parameters(), None) is None:
        raise UserError("model: it has no parameters, so there is nothing to train.")


def check_task(task: object) -> None:
    """Raise ``UserError`` for an unknown task."""
    if task is not None and task not in TASKS:
        raise UserError(f"task: {task!r} is unknown. Use one of {', '.join(TASKS)}, or None.")


def check_count(name: str, value: object) -> None:
    """Raise ``UserError`` unless ``value`` is None or a whole number of at least 1."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < 1:
        raise UserError(f"{name}: {value!r} is not a whole number of 1 or more.")


def scalar_loss(given: object) -> Tensor:
    """Return a loss () of a step, detached; of several numbers their mean.

    Raises ``UserError`` if there is no number.
    """
    if isinstance(given, Tensor) and given.numel() and not given.is_complex():
        loss = given.detach()
        return loss if loss.dim() == 0 else loss.float().mean()
    try:
        return torch.tensor(float(cast(Any, given)))
    except (TypeError, ValueError):
        raise UserError(f"loss: {type(given).__name__} is not a number or a tensor of one.") from None
