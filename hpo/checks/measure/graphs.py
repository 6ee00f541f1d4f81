"""Graphs that live too long: of losses that something keeps, and of an earlier step that a pass uses again.

Nodes of a graph take marks: a graph that is freed takes its marks along.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from hpo.checks.guard import Guard, Hook
from hpo.checks.measure.nested import outputs, tensors

_LOSSES = 8
"""Early losses whose graphs are looked for later."""
_LATER = 16
"""Steps of the optimizer after which none of them should exist."""
_WALKED_STEPS, _MOST_NODES = 3, 500
_MARK = "hpo"
GRAPHS = "watch over graphs"
"""What the guard calls it."""


class _Mark:
    """Lives as long as the graph of a loss."""


class GraphWatch:
    """Watches the first steps; ``ignoring()`` is true during forward passes that are not the loop's."""

    def __init__(self, ignoring: Callable[[], bool], guard: Guard) -> None:
        self._ignoring = ignoring
        self._guard = guard
        self._marks: list[weakref.ref[_Mark]] = []
        self._first = 0
        self._step = 0
        self._is_open = True
        self._hook: RemovableHandle | None = None
        self.has_run = False
        """Whether a forward pass was seen."""
        self.kept = 0
        """How many graphs of losses were kept: 0 or all of those looked for."""
        self.carried_from = -1
        """The first step whose graph a later one used; -1 if none did."""

    def attach(self, model: nn.Module) -> None:
        """Register the hook, in place of an earlier one."""
        self.close()
        self._hook = model.register_forward_hook(
            Hook(self._guard, GRAPHS, self._on_forward), with_kwargs=True
        )

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to look for, unless a loss with a graph is reported."""
        return self._hook is None and not (self._is_open and self._marks)

    @property
    def is_done(self) -> bool:
        """Whether all marks have been looked for."""
        return not self._is_open

    def close(self) -> None:
        """Remove the hook."""
        if self._hook is not None:
            self._hook.remove()
            self._hook = None

    def state(self) -> dict[str, Any]:
        """Return what ``load`` takes. Graphs do not outlive their process, so neither do their marks."""
        return {"kept": self.kept, "carried_from": self.carried_from, "is_open": self._is_open}

    def load(self, step: int, state: dict[str, Any]) -> None:
        """Continue after ``step`` steps; graphs that are still to be watched are those of the next losses."""
        self._step = step
        self.kept, self.carried_from = state["kept"], state["carried_from"]
        self._is_open = state["is_open"]

    def after_step(self, step: int) -> None:
        """Count the step of the optimizer."""
        self._step = step + 1
        if self._step >= _WALKED_STEPS and self.has_run:
            self.close()  # a compiled model, in which it does not run, would be compiled again without it

    def reported(self, loss: object) -> None:
        """Mark the graph of an early loss; look for all marks later."""
        if not self._is_open or not isinstance(loss, Tensor) or loss.grad_fn is None:
            return
        if len(self._marks) < _LOSSES:
            mark = _Mark()
            node: Any = loss.grad_fn
            node.metadata[_MARK] = mark
            self._marks.append(weakref.ref(mark))
            self._first = self._step
        elif self._step >= self._first + _LATER:
            self._is_open = False
            if self._count() == _LOSSES:
                gc.collect()  # they may only wait in cycles
                self.kept = self._count() if self._count() == _LOSSES else 0

    def _count(self) -> int:
        return sum(mark() is not None for mark in self._marks)

    def _on_forward(
        self, model: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], output: Any
    ) -> None:
        if self._ignoring():
            return
        self.has_run = True
        if not torch.is_grad_enabled() or self._step >= _WALKED_STEPS:
            return
        given = [each.grad_fn for each in tensors((inputs, named)) if each.grad_fn is not None]
        made = [each.grad_fn for each in outputs(output) if each.grad_fn is not None]
        for node in _walk([*given, *made]):
            step = node.metadata.setdefault(_MARK, self._step)
            if isinstance(step, int) and step < self._step and self.carried_from < 0:
                self.carried_from = step


def _walk(start: list[Any]) -> Iterator[Any]:
    """Yield the nodes that ``start`` reaches, at most ``_MOST_NODES``; parameters outlive steps."""
    waiting, visited = list(start), set(map(id, start))
    held = list(start)  # ids are those of living objects
    for _ in range(_MOST_NODES):
        if not waiting:
            return
        node = waiting.pop(0)
        yield node
        for each, _ in node.next_functions:
            if each is not None and id(each) not in visited and "AccumulateGrad" not in each.name():
                visited.add(id(each))
                waiting.append(each)
                held.append(each)
