"""Tensors in whatever a model takes and returns: tuples, dicts, dataclasses, graphs, sparse tensors ..."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

_DEEPEST = 6
_MOST = 64
"""Tensors looked for in one structure: enough for the outputs of any model."""
_LEAVES = (
    *(str, bytes, int, float, complex, type(None), type, types.ModuleType, types.FunctionType),
    *(types.MethodType, types.BuiltinFunctionType, nn.Module, torch.dtype, torch.device, torch.Generator),
)


def tensors(value: object) -> list[Tensor]:
    """Return the tensors in ``value``, in order and at most ``_MOST``.

    Containers, mappings and objects with attributes are searched; iterators are not, since that would
    consume them.
    """
    if isinstance(value, Tensor):
        return [value]
    found: list[Tensor] = []
    _search(value, found, set(), _DEEPEST)
    return found


def _search(value: object, found: list[Tensor], visited: set[int], depth: int) -> None:
    if isinstance(value, Tensor):
        found.append(value)
        return
    if depth == 0 or isinstance(value, _LEAVES) or id(value) in visited:
        return
    visited.add(id(value))
    for each in _members(value):
        if len(found) >= _MOST:
            return
        _search(each, found, visited, depth - 1)


def _members(value: object) -> list[object]:
    if isinstance(value, Mapping):
        return list(value.values())
    if isinstance(value, (list, tuple)):
        return list(value[:_MOST])
    attributes = getattr(value, "__dict__", None)
    if isinstance(attributes, dict):
        return list(attributes.values())
    slots = getattr(type(value), "__slots__", ())
    names = (slots,) if isinstance(slots, str) else tuple(slots)
    return [getattr(value, name) for name in names if hasattr(value, name)]


def is_readable(tensor: Tensor) -> bool:
    """Whether the plain functions of torch read it: dense, not nested, quantized, complex or without data."""
    return (
        tensor.layout is torch.strided
        and not tensor.is_nested
        and not tensor.is_quantized
        and not tensor.is_complex()
        and tensor.device.type != "meta"
        and not nn.parameter.is_lazy(tensor)
        and not torch._C._functorch.is_functorch_wrapped_tensor(tensor)  # of vmap or grad
    )


def values_of(tensor: Tensor) -> Tensor:
    """Return the stored values of a tensor of any kind, as a readable one; detached."""
    given = tensor.detach()
    if given.layout is torch.sparse_coo:
        given = given.coalesce().values()
    elif given.layout in (torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc):
        given = given.values()
    elif given.is_nested:
        given = torch.cat([each.reshape(-1) for each in given.unbind()])
    if given.is_quantized:
        given = given.dequantize()
    return torch.view_as_real(given) if given.is_complex() else given


def outputs(value: object) -> list[Tensor]:
    """Return the floating-point tensors of a model's output that plain functions read, most telling first.

    What is called logits comes first, then what has examples, then scalars such as a loss.
    """
    if isinstance(value, Tensor):
        return [value] if value.is_floating_point() and is_readable(value) else []
    named = value.get("logits") if isinstance(value, Mapping) else getattr(value, "logits", None)
    first = [named] if isinstance(named, Tensor) else []
    rest = [each for each in tensors(value) if each is not named]
    ordered = [*first, *(each for each in rest if each.dim()), *(each for each in rest if not each.dim())]
    return [each for each in ordered if each.is_floating_point() and is_readable(each)]


def length(value: object) -> int | None:
    """Return the number of examples in a batch, if all its tensors agree; None otherwise."""
    lengths = {len(each) if each.dim() else None for each in tensors(value) if not each.is_nested}
    return lengths.pop() if len(lengths) == 1 else None


def is_batch(value: object) -> bool:
    """Whether ``value`` is tensors in tuples, lists and dicts only, so that ``mapped`` can cut it."""
    if isinstance(value, Tensor):
        return is_readable(value) and value.dim() > 0
    if isinstance(value, Mapping):
        return bool(value) and type(value) is dict and all(map(is_batch, value.values()))
    if isinstance(value, (list, tuple)) and not isinstance(value, nn.utils.rnn.PackedSequence):
        return len(value) > 0 and all(map(is_batch, value))
    return False


def mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Return ``value`` with every tensor in tuples, lists and dicts changed; other objects stay."""
    if isinstance(value, Tensor):
        return change(value)
    if type(value) is dict:
        return {name: mapped(each, change) for name, each in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        if isinstance(value, nn.utils.rnn.PackedSequence):
            return value
        return type(value)(*(mapped(each, change) for each in value))
    if type(value) in (list, tuple):
        return type(value)(mapped(each, change) for each in value)
    return value
