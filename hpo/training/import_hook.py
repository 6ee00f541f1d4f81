"""A hook in Python's import of one module: the module is found as always, and executed in another way."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, TypeAlias

Execute: TypeAlias = Callable[[ModuleType], None]
"""Executes a module's code: ``exec_module`` of its loader."""


class ImportHook:
    """A finder for ``sys.meta_path``, before all others, that changes how the module ``name`` is executed.

    ``wrap`` takes what the others found and how it would be executed; it returns how it is.
    """

    def __init__(self, name: str, wrap: Callable[[ModuleSpec, Execute], Execute]) -> None:
        self._name = name
        self._wrap = wrap
        self._is_looking = False

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return what the other finders find, executed in the other way; None for other modules."""
        if name != self._name or self._is_looking:
            return None
        self._is_looking = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._is_looking = False
        if spec is not None and spec.loader is not None:
            loader: Any = spec.loader
            loader.exec_module = self._wrap(spec, loader.exec_module)
        return spec
