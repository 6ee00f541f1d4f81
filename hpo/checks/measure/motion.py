"""How far a training moves its weights and at which learning rates, on a small sample of the weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from hpo.checks.measure.nested import is_readable
from hpo.checks.updates import Motion, Rate

_TENSORS, _ENTRIES = 16, 512
"""The sample: so many entries of so many weights, evenly spaced."""
_STEPS = (0, 1, 2)
"""0-based steps whose change is measured."""
_MOST_RATES = 512


class MotionMeter:
    """Measures the first steps and the whole way of the weights; everything stays on the device."""

    def __init__(self, model: nn.Module, optimizers: Sequence[Optimizer]) -> None:
        self._model = model
        self._optimizers = optimizers
        self._weights: list[Tensor] = []
        self._start: list[Tensor] = []
        self._before: list[Tensor] = []
        self._waiting: list[tuple[int, float, Tensor]] = []

    @torch.no_grad()
    def before(self, step: int) -> None:
        """Take the sample before a step."""
        if step not in _STEPS and self._start:
            return
        if not self._start:
            self._weights = _sampled(self._model, self._optimizers)
            self._start = _samples(self._weights)
        self._before = _samples(self._weights) if step in _STEPS else []

    @torch.no_grad()
    def after(self, step: int, lr: float) -> None:
        """Compare the sample with that before the step."""
        before, self._before = self._before, []
        if before:
            self._waiting.append((step, lr, _ratio(_samples(self._weights), before)))

    def read(self) -> tuple[Motion, ...]:
        """Move the measured steps to the host and forget them."""
        waiting, self._waiting = self._waiting, []
        return tuple(Motion(step, lr, float(ratio)) for step, lr, ratio in waiting)

    def state(self) -> list[Tensor]:
        """Return what ``load`` takes, after ``read``."""
        return self._start

    def load(self, state: list[Tensor]) -> None:
        """Take the first sample of another run. Raises ``ValueError`` if it is one of other weights."""
        if not state:
            return
        self._weights, self._start = _sampled(self._model, self._optimizers), state
        if [each.shape for each in _samples(self._weights)] != [each.shape for each in state]:
            raise ValueError("the weights of the optimizer are not those of the checkpoint")

    @torch.no_grad()
    def moved(self) -> float:
        """Return the distance from the first sample over its norm; NaN if there is none."""
        return float(_ratio(_samples(self._weights), self._start)) if self._start else float("nan")

    @torch.no_grad()
    def shrunk(self) -> float:
        """Return the norm of the sample over that of the first one; NaN if there is none."""
        if not self._start:
            return float("nan")
        return float(_relative(_samples(self._weights), self._start))


@dataclass
class RateRecord:
    """The learning rates so far, at most ``_MOST_RATES``."""

    rates: list[Rate] = field(default_factory=list)
    every: int = 1
    """Steps between two changes that are recorded."""

    def take(self, step: int, lr: float) -> None:
        """Record a change; a rate on the device is not read."""
        if lr != lr or (self.rates and (self.rates[-1].lr == lr or step % self.every)):
            return
        self.rates.append(Rate(step, lr))
        if len(self.rates) > _MOST_RATES:
            self.rates = self.rates[::2]
            self.every *= 2


def largest_rate(optimizers: Sequence[Optimizer]) -> float:
    """Return the largest learning rate, without factors of groups; NaN if none, or if it is on the device."""
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    rates = [group.get("lr", float("nan")) for group in groups]
    if not rates or any(isinstance(rate, Tensor) and rate.device.type != "cpu" for rate in rates):
        return float("nan")
    factors = [float(group.get("lr_factor", 1.0)) for group in groups]  # of hpo's own training
    return max(float(rate) / factor for rate, factor in zip(rates, factors, strict=True))


def _sampled(model: nn.Module, optimizers: Sequence[Optimizer]) -> list[Tensor]:
    """Return some weights of the optimizers that have several dimensions; any parameters if none has."""
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    held = [each for group in groups for each in group["params"]] or list(model.parameters())
    usable = [
        each
        for each in held
        if each.requires_grad and is_readable(each) and each.is_floating_point() and each.numel()
    ]
    chosen = [each for each in usable if each.dim() > 1] or usable
    last, count = len(chosen) - 1, min(len(chosen), _TENSORS)
    return [chosen[place * last // max(1, count - 1)] for place in range(count)]


def _samples(weights: Sequence[Tensor]) -> list[Tensor]:
    """Return up to ``_ENTRIES`` entries of each weight, evenly spaced, as copies."""
    taken = []
    for weight in weights:
        flat = weight.detach().reshape(-1) if weight.is_contiguous() else weight.detach().flatten()
        stride = max(1, flat.numel() // _ENTRIES)
        taken.append(flat[::stride][:_ENTRIES].clone())
    return taken


def _ratio(now: Sequence[Tensor], before: Sequence[Tensor]) -> Tensor:
    """Return the median of the changes over the norms; of weights that were not 0."""
    return _relative(torch._foreach_sub(list(now), list(before)), before)


def _relative(vectors: Sequence[Tensor], before: Sequence[Tensor]) -> Tensor:
    changes, sizes = torch._foreach_norm(list(vectors)), torch._foreach_norm(list(before))
    device = changes[0].device
    change, size = (torch.stack([each.float().to(device) for each in some]) for some in (changes, sizes))
    return torch.where(size > 0, change / size, torch.full_like(size, torch.nan)).nanmedian()
