"""Which part of a model makes the outputs? Some loops call only its encoder, then its decoder."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from torch import nn
from torch.utils.hooks import RemovableHandle

from hpo.checks.guard import Guard, Hook
from hpo.checks.measure.nested import outputs

_MOST = 64
"""Parts that are watched."""


class CalledParts:
    """Watches a step for calls of the parts of a model that is not called itself.

    ``ignoring()`` is true during forward passes that are not the loop's.
    """

    def __init__(self, model: nn.Module, ignoring: Callable[[], bool], guard: Guard, name: str) -> None:
        self._model = model
        self._ignoring = ignoring
        self._guard = guard
        self._name = name
        self._last: nn.Module | None = None
        self._handles: list[RemovableHandle] = []

    def attach(self) -> None:
        """Register the hooks; scripted modules take none, and compiled ones would be compiled again."""
        for module in [] if _compiles() else list(self._model.children())[:_MOST]:
            with suppress(RuntimeError):
                hook = Hook(self._guard, self._name, self._on_forward)
                self._handles.append(module.register_forward_hook(hook))

    def close(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    @property
    def is_open(self) -> bool:
        """Whether it still watches."""
        return bool(self._handles)

    def found(self) -> nn.Module | None:
        """Return the part that was called last; ends the watch."""
        self.close()
        return self._last

    def _on_forward(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if self._ignoring():
            return
        if any(each.requires_grad for each in outputs(output)):
            self._last = module


def _compiles() -> bool:
    """Whether something has been compiled: the hooks of a compiled model do not run."""
    known = sys.modules.get("torch._dynamo.utils")
    return known is not None and bool(known.counters["stats"])
