"""A function that runs once the user's code has imported PyTorch; hpo does not import it here."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType

from hpo.training.import_hook import Execute, ImportHook


def after_torch_import(then: Callable[[], None]) -> None:
    """Call ``then`` when PyTorch has been imported; at once if it has been."""

    def followed(spec: ModuleSpec, execute: Execute) -> Execute:
        def exec_module(module: ModuleType) -> None:
            execute(module)
            then()

        return exec_module

    if "torch" in sys.modules:
        then()
    else:
        sys.meta_path.insert(0, ImportHook("torch", followed))
