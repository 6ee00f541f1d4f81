"""Do gradients of the step before remain in those of the next? For loops whose model is never called itself.

Where a forward pass of the whole model is seen, ``hpo.checks.measure.inputs`` tells it from that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from hpo.checks.guard import Guard
from hpo.checks.measure.nested import is_readable

CARRIED = "comparison of gradients with those of the step before"
"""What the guard calls it."""
_STEPS = 4
_ENTRIES = 4096


@dataclass
class _Watched:
    """A weight of an optimizer, and what its gradients were in the last step and since then."""

    weight: nn.Parameter
    fresh: Tensor | None = None
    """(n,) the sum of what backward passes have added since the last step."""
    last: Tensor | None = None
    """(n,) the gradient that the last step left."""


class CarriedGradients:
    """Watches one weight of each optimizer in the first steps."""

    def __init__(self, optimizers: Sequence[Optimizer], guard: Guard) -> None:
        self._optimizers = optimizers
        self._guard = guard
        self._watched: dict[int, _Watched] = {}
        self._handles: list[RemovableHandle] = []
        self._found: list[tuple[Tensor, Tensor]] = []
        self._left = _STEPS * len(optimizers)
        """Steps of single optimizers."""

    def attach(self) -> None:
        """Register the hooks."""
        for number, optimizer in enumerate(self._optimizers):
            weight = _largest(optimizer)
            if weight is not None:
                watched = self._watched[number] = _Watched(weight)
                self._handles.append(weight.register_hook(self._hook(watched)))

    def close(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()
        self._handles, self._left, self._watched = [], 0, {}

    @property
    def is_done(self) -> bool:
        """Whether no step is left to be compared."""
        return self._left <= 0

    @torch.no_grad()
    def before_step(self, number: int) -> None:
        """Compare the gradient of an optimizer's weight with what backward has added."""
        watched = self._watched.get(number)
        if watched is None or watched.weight.grad is None or not is_readable(watched.weight.grad):
            return
        fresh, last = watched.fresh, watched.last
        if fresh is not None and last is not None:
            used = _entries(watched.weight.grad)
            self._found.append((_cosine(used, fresh + last), _cosine(used, fresh)))

    @torch.no_grad()
    def after_step(self, number: int) -> None:
        """Remember the gradient that is left."""
        watched = self._watched.get(number)
        if watched is None:
            return
        gradient = watched.weight.grad
        known = gradient is not None and is_readable(gradient)
        watched.last = _entries(gradient) if known and gradient is not None else None
        watched.fresh = None
        self._left -= 1
        if self._left <= 0:
            self.close()

    def read(self) -> list[tuple[float, float]]:
        """Return, for each step, the cosines of its gradient with both, and with the new part alone."""
        found, self._found = self._found, []
        return [(float(both), float(new)) for both, new in found]

    def _hook(self, watched: _Watched) -> Callable[[Tensor], None]:
        def add(gradient: Tensor) -> None:
            self._guard.run(CARRIED, lambda: _add(watched, gradient), None)

        return add


def _add(watched: _Watched, gradient: Tensor) -> None:
    if torch.is_grad_enabled() or not is_readable(gradient):
        return
    given = _entries(gradient)
    watched.fresh = given if watched.fresh is None else watched.fresh + given


def _largest(optimizer: Optimizer) -> nn.Parameter | None:
    usable = [
        each
        for group in optimizer.param_groups
        for each in group["params"]
        if each.requires_grad and each.is_leaf and is_readable(each) and each.is_floating_point()
    ]
    return max(usable, key=lambda each: (each.dim() > 1, each.numel()), default=None)


def _entries(gradient: Tensor) -> Tensor:
    """Return up to ``_ENTRIES`` entries, evenly spaced, as a copy."""
    flat = gradient.detach().flatten()
    return flat[:: max(1, flat.numel() // _ENTRIES)].float().clone()


def _cosine(one: Tensor, other: Tensor) -> Tensor:
    return torch.nn.functional.cosine_similarity(one, other, dim=0)
