"""What happens when the user's code imports PyTorch: this process does not load it before."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class _AfterImport:
    """A finder of modules that calls a function once PyTorch is imported."""

    def __init__(self, then: Callable[[], None]) -> None:
        self._then = then
        self._looks = False

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        """Return where PyTorch is, with a loader that also calls the function; None for other modules."""
        if name != "torch" or self._looks:
            return None
        self._looks = True
        try:
            spec = importlib.util.find_spec("torch")
        finally:
            self._looks = False
        if spec is not None and spec.loader is not None:
            self._follow(spec)
        return spec

    def _follow(self, spec: ModuleSpec) -> None:
        loader: Any = spec.loader
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            self._then()

        loader.exec_module = exec_module


def after_torch_import(then: Callable[[], None]) -> None:
    """Call ``then`` when PyTorch has been imported; at once if it has been."""
    if "torch" in sys.modules:
        then()
    else:
        sys.meta_path.insert(0, _AfterImport(then))
