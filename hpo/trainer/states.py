"""States of the user's objects as plain data and arrays: files that can be read without running code.

Only what is neither JSON nor an array is pickled, and only a trial's own checkpoints are read back.
"""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from hpo.errors import CheckpointError

_PICKLE = "pickle"
_NUMPY_KINDS = "biuf"


def pack(value: Any, name: str, arrays: dict[str, Any]) -> Any:
    """Return ``value`` for JSON; its tensors and arrays go to ``arrays``, as copies named after ``name``."""
    kind = type(value)
    if value is None or kind in (bool, int, str, float):
        return value
    if kind is list:
        return [pack(each, f"{name}.{place}", arrays) for place, each in enumerate(value)]
    if kind is tuple:
        return {"tuple": [pack(each, f"{name}.{place}", arrays) for place, each in enumerate(value)]}
    if isinstance(value, Mapping) and kind.__module__ in ("builtins", "collections"):
        pairs = [
            [pack(key, name, arrays), pack(each, f"{name}.{key}", arrays)] for key, each in value.items()
        ]
        return {"dict": pairs}
    if is_tensor(value) and not (value.is_sparse or value.is_quantized or value.is_complex()):
        return {"tensor": _add(value.detach().cpu().clone(), name, arrays)}
    if kind is np.ndarray and value.dtype.kind in _NUMPY_KINDS:
        return {"array": _add(value.copy(), name, arrays)}
    if isinstance(value, np.generic) and value.dtype.kind in _NUMPY_KINDS:
        return {"number": _add(np.array(value), name, arrays)}
    return {_PICKLE: _add(np.frombuffer(_pickled(value), dtype=np.uint8), name, arrays)}


def unpack(plain: Any, arrays: Mapping[str, Any]) -> Any:
    """Return what was packed."""
    if isinstance(plain, list):
        return [unpack(each, arrays) for each in plain]
    if not isinstance(plain, dict):
        return plain
    ((kind, content),) = plain.items()
    if kind == "tuple":
        return tuple(unpack(each, arrays) for each in content)
    if kind == "dict":
        return {unpack(key, arrays): unpack(each, arrays) for key, each in content}
    stored = arrays[content]
    if kind == "tensor":
        return stored if is_tensor(stored) else _as_tensor(stored)
    array = stored.numpy() if is_tensor(stored) else stored
    if kind == "array":
        return array
    if kind == "number":
        return array[()]
    return pickle.loads(array.tobytes())


def is_tensor(value: Any) -> bool:
    """Whether it is a tensor of PyTorch, which is not imported for that."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


class ArrayCodec:
    """Arrays and tensors by name as safetensors."""

    def dump(self, tensors: dict[str, Any]) -> bytes:
        """Return the arrays as bytes."""
        if any(map(is_tensor, tensors.values())):
            import safetensors.torch

            as_tensors = {
                name: each.contiguous() if is_tensor(each) else _as_tensor(each)
                for name, each in tensors.items()
            }
            return safetensors.torch.save(as_tensors)
        import safetensors.numpy

        return safetensors.numpy.save({name: np.array(each, order="C") for name, each in tensors.items()})

    def load(self, content: bytes) -> dict[str, Any]:
        """Return the arrays, as tensors where PyTorch is imported."""
        try:
            if "torch" not in sys.modules:
                import safetensors.numpy

                return dict(safetensors.numpy.load(content))
        except (TypeError, KeyError, AttributeError):  # a type of numbers that NumPy lacks
            pass
        except Exception as error:
            raise CheckpointError("is damaged: it is not a file of safetensors") from error
        import safetensors.torch

        return dict(safetensors.torch.load(content))


def _add(array: Any, name: str, arrays: dict[str, Any]) -> str:
    free = (
        name
        if name not in arrays
        else next(each for number in range(2, sys.maxsize) if (each := f"{name}#{number}") not in arrays)
    )
    arrays[free] = array
    return free


def _as_tensor(array: Any) -> Any:
    import torch

    return torch.from_numpy(np.array(array, order="C"))


def _pickled(value: Any) -> bytes:
    buffer = io.BytesIO()
    pickle.dump(value, buffer)
    return buffer.getvalue()
