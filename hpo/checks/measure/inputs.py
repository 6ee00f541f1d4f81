"""What the loop feeds the network and in which mode: recorded for a few forward passes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from hpo.checks.measure.probes import NORMS
from hpo.checks.measure.statistics import std_mean
from hpo.checks.observations import ForwardRecord
from hpo.checks.state import ForwardMonitorState

_LEARNING_PASSES = 2
"""Passes recorded after each call of ``expect``: one may be the very first, which has no previous step."""
_MIN_IMAGES = 16
"""The mean of fewer images scatters too much to compare two splits."""
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

    def __init__(self, model: nn.Module, optimizers: Sequence[Optimizer]) -> None:
        self._model = model
        self._parameters = [
            each for optimizer in optimizers for group in optimizer.param_groups for each in group["params"]
        ]
        self._paused = False
        self._learning_left = 0
        self._evaluating_left = 0
        self._passes: list[_Forward] = []
        self._steps = 0
        self._norm: Tensor | None = None

    def attach(self) -> RemovableHandle:
        """Register the hook and return its handle."""
        return self._model.register_forward_hook(self._on_forward)

    def expect(self) -> None:
        """Record the next passes of each kind."""
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
        self._steps = step + 1

    def state(self) -> ForwardMonitorState:
        """Return what ``restore`` needs, once everything is read."""
        norm = None if self._norm is None else float(self._norm)
        return ForwardMonitorState(self._learning_left, self._evaluating_left, self._steps, norm)

    def restore(self, state: ForwardMonitorState) -> None:
        """Continue from the state of another monitor."""
        self._learning_left, self._evaluating_left = state.learning_left, state.evaluating_left
        self._steps = state.steps
        self._norm = None if state.gradient_norm is None else torch.tensor(state.gradient_norm)

    def read(self) -> list[ForwardRecord]:
        """Move the records to the host and forget them."""
        passes, self._passes = self._passes, []
        return [_record(each) for each in passes]

    def _on_forward(self, model: nn.Module, inputs: tuple[Tensor, ...], output: object) -> None:
        if self._paused or not inputs or not isinstance(output, Tensor):
            return
        learning = output.requires_grad
        if not (self._learning_left if learning else self._evaluating_left):
            return
        numbers = _image_numbers(inputs[0].detach())
        seen = _Forward(
            self._steps, learning, model.training, self._eval_norms(), numbers, last_norm=self._norm
        )
        if learning:
            # Only backward shows it: many loops evaluate without no_grad.
            output.register_hook(lambda gradient: self._on_backward(seen))
        else:
            self._evaluating_left -= 1
            self._passes.append(seen)

    def _on_backward(self, seen: _Forward) -> None:
        if self._learning_left > 0 and seen.stale is None:
            self._learning_left -= 1
            seen.stale = self._gradient_norm()
            self._passes.append(seen)

    def _eval_norms(self) -> tuple[str, ...]:
        return tuple(
            name
            for name, module in self._model.named_modules()
            if isinstance(module, _MODAL) and not module.training
        )

    @torch.no_grad()
    def _gradient_norm(self) -> Tensor:
        gradients = [each.grad for each in self._parameters if each.grad is not None]
        if not gradients:
            return torch.zeros(())
        norm: Tensor = torch.stack(torch._foreach_norm(gradients)).norm()
        return norm


def _image_numbers(images: Tensor) -> Tensor:
    """Return the mean and the standard deviation (2,); NaN for few images."""
    if len(images) < _MIN_IMAGES:
        return torch.full((2,), torch.nan, device=images.device)
    std, mean = std_mean(images.float())
    return torch.stack([mean, std])


def _record(seen: _Forward) -> ForwardRecord:
    mean, std = seen.image_numbers.tolist()
    stale = math.nan
    if seen.stale is not None and seen.last_norm is not None:
        stale = float(seen.stale) / max(float(seen.last_norm), 1e-30)
    return ForwardRecord(seen.step, seen.learning, seen.training_mode, seen.eval_norms, mean, std, stale)
