"""What the loop feeds the network and in which mode: recorded for a few forward passes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from hpo.checks.guard import Guard, Hook
from hpo.checks.measure.gradients import norm
from hpo.checks.measure.nested import is_readable, outputs, tensors
from hpo.checks.measure.probes import NORMS
from hpo.checks.measure.statistics import std_mean
from hpo.checks.measure.untouched import unwrapped
from hpo.checks.observations import ForwardRecord
from hpo.checks.state import ForwardMonitorState

_LEARNING_PASSES = 2
"""Passes recorded after each call of ``expect``: one may be the very first, which has no previous step."""
_MIN_IMAGES = 16
"""The mean of fewer images scatters too much to compare two splits."""
PASSES = "record of forward passes"
"""What the guard calls it."""
_MODAL = (*NORMS, nn.modules.dropout._DropoutNd)


@dataclass
class _Forward:
    """A recorded forward pass with numbers on the device."""

    step: int
    learning: bool
    training_mode: bool
    eval_norms: tuple[str, ...]
    image_numbers: Tensor
    """(2,): mean and standard deviation; NaN for few images."""
    stale: Tensor | None = None
    """Norm of the gradients when backward began, once it has."""
    last_norm: Tensor | None = None


class ForwardMonitor:
    """Records some of a loop's own forward passes, once attached."""

    def __init__(self, model: nn.Module, optimizers: Sequence[Optimizer], guard: Guard | None = None) -> None:
        self._model = model
        self._guard = guard or Guard()
        self._parameters = [
            each for optimizer in optimizers for group in optimizer.param_groups for each in group["params"]
        ] or list(model.parameters())
        self._paused = False
        self._learning_left = 0
        self._evaluating_left = 0
        self._passes: list[_Forward] = []
        self.steps = 0
        """Steps so far."""
        self._norm: Tensor | None = None
        self._handle: RemovableHandle | None = None
        self._part: nn.Module | None = None
        self._can_rest = False
        self._last_backward = -1
        """The step of the last recorded one: another in the same step adds to its gradients on purpose."""

    def attach(self, part: nn.Module | None = None) -> None:
        """Register the hook, on the ``part`` of the model that makes its outputs.

        A scripted model takes none: its backward passes are seen from the last of its weights.
        """
        if not isinstance(self._model, torch.jit.ScriptModule):
            self._part = part or self._part
            if self._handle is not None:
                self._handle.remove()
            hook = Hook(self._guard, PASSES, self._on_forward)
            self._handle = (self._part or self._model).register_forward_hook(hook, with_kwargs=True)
            self._can_rest = unwrapped(self._model) is self._model  # or it would be compiled again
            return
        weights = [each for each in self._parameters if each.dim() > 1 and each.requires_grad]
        self._parameters = weights[-1:] or self._parameters[-1:]
        self._handle = self._parameters[0].register_hook(
            lambda gradient: self._guard.run(PASSES, self._on_gradient, None)
        )

    def close(self) -> None:
        """Remove the hook."""
        if self._handle is not None:
            self._handle.remove()
        self._handle, self._can_rest = None, False

    def rest(self) -> None:
        """Do without the hook until ``wake`` or ``expect``, unless passes to learn from are expected."""
        if self._can_rest and self._handle is not None and not self._learning_left:
            self._handle.remove()
            self._handle = None

    def wake(self) -> None:
        """Register the hook again."""
        if self._can_rest and self._handle is None:
            self.attach()

    @property
    def is_expecting(self) -> bool:
        """Whether passes to learn from are to be recorded."""
        return self._learning_left > 0

    def expect(self) -> None:
        """Record the next passes of each kind."""
        self.wake()
        self._learning_left = _LEARNING_PASSES
        self._evaluating_left = 1

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Ignore passes inside: they are not the loop's."""
        before, self._paused = self._paused, True
        try:
            yield
        finally:
            self._paused = before

    @property
    def is_paused(self) -> bool:
        """Whether passes are ignored."""
        return self._paused

    def before_step(self) -> None:
        """Remember the norm of the gradients that the optimizer is about to use."""
        if self._learning_left > 0:
            self._norm = self._gradient_norm()

    def after_step(self, step: int) -> None:
        """Count the step."""
        self.steps = step + 1

    def state(self) -> ForwardMonitorState:
        """Return what ``restore`` needs, once everything is read."""
        norm = None if self._norm is None else float(self._norm)
        return ForwardMonitorState(self._learning_left, self._evaluating_left, self.steps, norm)

    def restore(self, state: ForwardMonitorState) -> None:
        """Continue from the state of another monitor."""
        self._learning_left, self._evaluating_left = state.learning_left, state.evaluating_left
        self.steps = state.steps
        self._norm = None if state.gradient_norm is None else torch.tensor(state.gradient_norm)

    def read(self) -> list[ForwardRecord]:
        """Move the records to the host and forget them."""
        passes, self._passes = self._passes, []
        return [_record(each) for each in passes]

    def _on_forward(
        self, model: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], output: Any
    ) -> None:
        if self._paused or not (self._learning_left or self._evaluating_left):
            return
        learnable = [each for each in outputs(output) if each.requires_grad]
        if not (self._learning_left if learnable else self._evaluating_left):
            return
        numbers = _image_numbers(inputs, named)
        seen = _Forward(
            self.steps, bool(learnable), model.training, self._eval_norms(), numbers, last_norm=self._norm
        )
        for each in learnable:
            # Only backward shows it: many loops evaluate without no_grad.
            each.register_hook(
                lambda gradient: self._guard.run(PASSES, lambda: self._on_backward(seen), None)
            )
        if not learnable:
            self._evaluating_left -= 1
            self._passes.append(seen)

    def _on_gradient(self) -> None:
        """Record a backward pass of which only the gradient of a weight is seen, before it is added."""
        if not self._paused and self._learning_left:
            nothing = torch.full((2,), torch.nan)
            training = self._model.training
            self._on_backward(
                _Forward(self.steps, True, training, self._eval_norms(), nothing, last_norm=self._norm)
            )

    def _on_backward(self, seen: _Forward) -> None:
        if torch.is_grad_enabled():
            return  # with create_graph, as for a gradient penalty: it adds to no gradient
        if self._learning_left > 0 and seen.stale is None and self._last_backward < self.steps:
            self._last_backward = self.steps
            self._learning_left -= 1
            seen.stale = self._gradient_norm()
            self._passes.append(seen)

    def _eval_norms(self) -> tuple[str, ...]:
        return tuple(
            name
            for name, module in self._model.named_modules()
            if isinstance(module, _MODAL) and not module.training
        )

    def _gradient_norm(self) -> Tensor:
        return norm([each.grad for each in self._parameters if each.grad is not None])


def _image_numbers(*inputs: object) -> Tensor:
    """Return the mean and the standard deviation (2,) of the first of the inputs that has pixels.

    NaN for few images, and for inputs that are whole numbers of more than 8 bits.
    """
    found = [each for each in tensors(inputs) if is_readable(each)]
    images = next((each for each in found if each.is_floating_point() or each.dtype is torch.uint8), None)
    if images is None or not images.dim() or len(images) < _MIN_IMAGES:
        return torch.full((2,), torch.nan, device=found[0].device if found else None)
    std, mean = std_mean(images.detach().float())
    return torch.stack([mean, std])


def _record(seen: _Forward) -> ForwardRecord:
    mean, std = seen.image_numbers.tolist()
    stale = math.nan
    if seen.stale is not None and seen.last_norm is not None:
        stale = float(seen.stale) / max(float(seen.last_norm), 1e-30)
    return ForwardRecord(seen.step, seen.learning, seen.training_mode, seen.eval_norms, mean, std, stale)
