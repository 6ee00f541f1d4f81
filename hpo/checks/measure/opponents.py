"""Do two networks that are trained against each other want different things?

A discriminator judges what a generator made twice in a step: detached, to learn, and with its graph, for the
generator to learn. The gradients by its answers are then those of opponents; equal ones are a mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from hpo.checks.guard import Guard, Hook
from hpo.checks.measure.nested import is_readable, outputs, tensors

OPPONENTS = "comparison of opponents"
"""What the guard calls it."""
_PASSES = 12
"""Of each network: enough for three steps."""
_KEPT = 4
"""Latest passes whose inputs are kept."""
_FEWEST = 4


@dataclass
class _Pass:
    """A network's pass, and the gradient of a loss by its output."""

    given: Tensor | None
    """Detached; kept for a while, so that no other tensor takes its place in memory."""
    is_learned_from: bool
    """Whether the input has a gradient."""
    partner: _Pass | None = None
    """For a pass that is learned from, the one over the same values that is not."""
    gradient: Tensor | None = None


class OpponentMonitor:
    """Watches the first passes of the parts of a model that several optimizers train."""

    def __init__(
        self,
        model: nn.Module,
        optimizers: Sequence[Optimizer],
        ignoring: Callable[[], bool],
        guard: Guard,
    ) -> None:
        self._parts = list(model.children()) if len(optimizers) > 1 else []
        self._ignoring = ignoring
        self._guard = guard
        self._passes: dict[int, list[_Pass]] = {}
        self._handles: list[RemovableHandle] = []

    def attach(self) -> None:
        """Register the hooks."""
        for number, part in enumerate(self._parts):
            with suppress(RuntimeError):  # a scripted part takes none
                self._handles.append(
                    part.register_forward_hook(Hook(self._guard, OPPONENTS, self._hook(number)))
                )

    def close(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def read(self) -> list[float]:
        """Return, for each pair of passes, the distance of their gradients over the larger one."""
        distances = [each for passes in self._passes.values() for each in _distances(passes)]
        return torch.stack(distances).tolist() if distances else []

    def _hook(self, number: int) -> Callable[[nn.Module, Any, Any], None]:
        passes = self._passes.setdefault(number, [])

        def hook(part: nn.Module, given: Any, output: Any) -> None:
            if self._ignoring() or len(passes) >= _PASSES:
                return
            inputs, made = tensors(given), [each for each in outputs(output) if each.requires_grad]
            if len(inputs) != 1 or not made:
                return
            taken = _Pass(inputs[0].detach(), inputs[0].requires_grad)
            if taken.is_learned_from:
                taken.partner = next((each for each in reversed(passes) if _is_partner(each, taken)), None)
            passes.append(taken)
            for earlier in passes[: -_KEPT if len(passes) < _PASSES else None]:
                earlier.given = None
            made[0].register_hook(lambda gradient: self._take(taken, gradient))

        return hook

    def _take(self, taken: _Pass, gradient: Tensor) -> None:
        self._guard.run(OPPONENTS, lambda: _keep(taken, gradient), None)


def _keep(taken: _Pass, gradient: Tensor) -> None:
    if taken.gradient is None and is_readable(gradient) and len(gradient) >= _FEWEST:
        taken.gradient = gradient.detach().float().clone()


def _is_partner(earlier: _Pass, taken: _Pass) -> bool:
    one, other = earlier.given, taken.given
    if one is None or other is None or earlier.is_learned_from or one.shape != other.shape:
        return False
    return one.data_ptr() == other.data_ptr() or torch.equal(one, other)


def _distances(passes: list[_Pass]) -> list[Tensor]:
    """Compare the gradients of passes over the same values, with and without their graph."""
    found = []
    for taken in passes:
        one, other = taken.gradient, taken.partner.gradient if taken.partner else None
        if one is not None and other is not None and one.shape == other.shape:
            larger = torch.maximum(one.norm(), other.norm())
            found.append((one - other).norm() / larger.clamp(min=1e-30))
    return found
