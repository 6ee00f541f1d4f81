"""How far a training has moved its weights."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

from hpo.checks.measure.nested import is_readable

_TENSORS, _NUMBERS = 8, 4096
"""Weights that are compared, and values of each."""
_TINY = 1e-8


class Displacement:
    """Remembers some of the first values of a few weights."""

    def __init__(self, model: nn.Module, optimizers: Sequence[Optimizer]) -> None:
        self._model = model
        self._optimizers = optimizers
        self._weights: list[Tensor] = []
        self._start: list[Tensor] = []

    def start(self) -> None:
        """Take the first values."""
        groups = [group for optimizer in self._optimizers for group in optimizer.param_groups]
        held = [each for group in groups for each in group["params"]] or list(self._model.parameters())
        matrices = [each for each in held if not is_lazy(each) and is_readable(each) and each.dim() > 1]
        weights = matrices or [each for each in held if not is_lazy(each) and is_readable(each)]
        last = len(weights) - 1
        places = sorted({number * last // (_TENSORS - 1) for number in range(_TENSORS)}) if weights else []
        self._weights = [weights[place] for place in places]
        self._start = [_sample(each).clone() for each in self._weights]

    def state(self) -> list[Tensor]:
        """Return what ``load`` takes."""
        return self._start

    def load(self, state: list[Tensor]) -> None:
        """Take the first values of another run of the same training."""
        if [each.shape for each in state] != [each.shape for each in self._start]:
            self._weights, state = [], []  # lazy weights, or others than before: unknown
        self._start = state

    def read(self) -> float:
        """Return the median of the changes, each over its first norm; NaN without weights."""
        changes = []
        for weight, start in zip(self._weights, self._start, strict=True):
            now, norm = _sample(weight), float(start.norm())
            if now.shape == start.shape and norm > _TINY:
                changes.append(float((now - start).norm()) / norm)
        return statistics.median(changes) if changes else math.nan


def _sample(weight: Tensor) -> Tensor:
    flat = weight.detach().reshape(-1)
    return flat[:: -(-len(flat) // _NUMBERS)].float() if len(flat) else flat.float()
