"""Imports torchvision where its compiled operators do not load.

torchvision wheels from some registries are built against CUDA. With a CPU-only torch their operators are
missing and ``import torchvision`` dies with "operator torchvision::nms does not exist", although its data
sets need none. Declaring the two operators that its Python files look up on import gets past that.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

_declared: list[Any] = []  # a torch Library undoes its declarations when it is collected


def import_torchvision() -> ModuleType:
    """The package with ``torchvision.datasets`` loaded. Raises ``ImportError`` if it is not installed."""
    try:
        return _import()
    except RuntimeError as error:
        if "torchvision::nms does not exist" not in str(error):
            raise
        _declare_operators()
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        return _import()


def _import() -> ModuleType:
    importlib.import_module("torchvision.datasets")
    return sys.modules["torchvision"]


def _declare_operators() -> None:
    from torch.library import Library

    library = Library("torchvision", "DEF")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _declared.append(library)
