"""What the first layers of a network get: values that the model scales are seen as they arrive."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from hpo.checks.data_facts import HiddenInput, LayerInput
from hpo.checks.guard import Guard, Hook
from hpo.checks.measure.nested import is_readable, tensors

_WEIGHTED = (nn.Linear, nn.modules.conv._ConvNd, nn.RNNBase, nn.RNNCellBase)
_EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)
_NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
_MOST, _MOST_HIDDEN = 8, 32
_FLAT = 1e-3
"""Distance from the ends of tanh or sigmoid."""
_FEWEST_ROWS = 4
_SAME = 1e-3


@dataclass
class _Call:
    name: str
    module: nn.Module
    numbers: Tensor | None = None
    """(4,): see ``_numbers``."""


class FirstLayers:
    """Records the first layers that the first forward pass calls, then removes its hooks."""

    def __init__(self, model: nn.Module, guard: Guard, part: str, ignoring: Callable[[], bool]) -> None:
        self._model = model
        self._guard = guard
        self._part = part
        self._ignoring = ignoring
        self._calls: list[_Call] = []
        self._hidden: dict[str, Tensor] = {}
        """By layer, (3,): see ``_of_hidden``."""
        self._raw: Tensor | None = None
        self._handles: list[RemovableHandle] = []

    def attach(self) -> None:
        """Register the hooks; scripted modules take none."""
        for name, module in self._model.named_modules():
            if isinstance(module, (*_WEIGHTED, *_EMBEDDINGS, *_NORMS)):
                with suppress(RuntimeError):
                    hook = Hook(self._guard, self._part, self._hook(name))
                    self._handles.append(module.register_forward_pre_hook(hook))

    def close(self, inputs: Any = None) -> None:
        """Remove the hooks, after a forward pass on ``inputs``."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        given = [each for each in tensors(inputs) if is_readable(each) and each.is_floating_point()]
        largest = [each.detach().abs().max().float() for each in given if each.numel()]
        self._raw = torch.stack(largest) if largest else None

    def _hook(self, name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            if self._ignoring():
                return
            known = next((each for each in self._calls if each.name == name), None)
            given = next(iter(tensors(inputs)), None)
            if self._calls and isinstance(module, _WEIGHTED) and given is not None:
                self._take_hidden(name, given, module)
            if known is None and len(self._calls) >= _MOST:
                return
            call = _Call(name, module)
            if isinstance(module, _WEIGHTED) and given is not None and is_readable(given):
                call.numbers = _numbers(given, module)
            if known is None:
                self._calls.append(call)
            elif known.numbers is not None and call.numbers is not None:
                # A state that starts at a constant is not what the layer gets.
                known.numbers = torch.where(known.numbers[1] > 0, known.numbers, call.numbers)

        return hook

    def _take_hidden(self, name: str, given: Tensor, module: nn.Module) -> None:
        """Keep what a layer gets after the first one; of several calls the one that varies most."""
        is_new = name not in self._hidden
        if (is_new and len(self._hidden) >= _MOST_HIDDEN) or not is_readable(given):
            return
        numbers = _of_hidden(given, module)
        if numbers is not None:
            known = self._hidden.get(name, numbers)
            self._hidden[name] = torch.where(known[0] < numbers[0], known, numbers)

    def read_hidden(self) -> list[HiddenInput]:
        """Move what later layers got to the host."""
        hidden, self._hidden = self._hidden, {}
        return [HiddenInput(name, *each.tolist()) for name, each in hidden.items()]

    def state(self) -> dict[str, Any]:
        """Return what ``load`` takes."""
        calls = [[each.name, each.numbers] for each in self._calls]
        return {"calls": calls, "raw": self._raw, "hidden": list(self._hidden.items())}

    def load(self, state: dict[str, Any]) -> None:
        """Take what another run of the same training has measured, and measure no more."""
        self.close()
        modules = dict(self._model.named_modules())
        self._calls = [_Call(name, modules[name], numbers) for name, numbers in state["calls"]]
        self._raw = state["raw"]
        self._hidden = dict(state.get("hidden", ()))

    def read(self) -> list[LayerInput]:
        """Move what was measured to the host."""
        raw = self._raw.tolist() if self._raw is not None else []
        found = []
        for place, call in enumerate(self._calls):
            if call.numbers is None:
                continue
            rms, std, offset, largest = call.numbers.tolist()
            follows = self._calls[place + 1].module if place + 1 < len(self._calls) else None
            is_raw = any(abs(each - largest) <= _SAME * each for each in raw)
            found.append(
                LayerInput(call.name, place == 0, is_raw, isinstance(follows, _NORMS), rms, std, offset)
            )
        return found


def _rows(given: Tensor, module: nn.Module) -> Tensor | None:
    """Return values (n, features); None if there are too few."""
    values = given.detach().float()
    by_feature = isinstance(module, nn.modules.conv._ConvNd) and values.dim() > 2
    rows = values.transpose(0, 1).flatten(1).T if by_feature else values.reshape(-1, values.shape[-1])
    return None if len(rows) < _FEWEST_ROWS or not rows.numel() else rows


def _of_hidden(given: Tensor, module: nn.Module) -> Tensor | None:
    """Return the shares of constant features and of saturated values, and the rms of the largest feature."""
    rows = _rows(given, module)
    if rows is None or not given.dim():
        return None
    low, high = torch.aminmax(rows, dim=0)
    sizes, lowest = rows.abs(), low.min()
    inside = (sizes.max() <= 1) & (high.max() > low.min())
    ends = (sizes > 1 - _FLAT) | ((lowest >= 0) & (sizes < _FLAT) & (sizes > 0))
    return torch.stack(
        [(low == high).float().mean(), ends.float().mean() * inside, rows.square().mean(0).max().sqrt()]
    )


def _numbers(given: Tensor, module: nn.Module) -> Tensor | None:
    """Return rms of the largest and deviation of the most variable feature, least offset, largest value."""
    rows = _rows(given, module)
    if rows is None:
        return None
    std, mean = torch.std_mean(rows, 0)
    offset = (mean.abs() / std.clamp(min=1e-12 * mean.abs().max().clamp(min=1e-30))).min()
    return torch.stack([rows.square().mean(0).max().sqrt(), std.max(), offset, rows.abs().max()])
