"""Layers and tensors that a model holds in lists and dicts, where ``parameters()`` does not find them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

_REGISTRIES = frozenset(vars(nn.Module()))
_MOST = 256
"""Members of a container that are looked at."""
_DEEPEST = 3


def unregistered(model: nn.Module) -> dict[str, Tensor]:
    """Return by name the trainable tensors in the model's attributes that are not its parameters."""
    known = {id(each) for each in model.parameters()}
    found: dict[str, Tensor] = {}
    for prefix, module in model.named_modules():
        for attribute, value in vars(module).items():
            if attribute not in _REGISTRIES:
                path = f"{prefix}.{attribute}" if prefix else attribute
                for name, tensor in _leaves(path, value, _DEEPEST):
                    if id(tensor) not in known:
                        known.add(id(tensor))
                        found[name] = tensor
    return found


def _leaves(path: str, value: object, depth: int) -> Iterator[tuple[str, Tensor]]:
    """Yield the trainable leaves inside containers, and a tensor that is itself one."""
    if isinstance(value, Tensor):
        if value.requires_grad and value.is_leaf and not is_lazy(value):
            yield path, value
    elif (
        isinstance(value, nn.Module) and depth < _DEEPEST
    ):  # a module outside a container is hidden on purpose
        for name, parameter in value.named_parameters():
            if parameter.requires_grad and not is_lazy(parameter):
                yield f"{path}.{name}", parameter
    elif depth > 0 and isinstance(value, (list, tuple, Mapping)):
        members = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, each in list(members)[:_MOST]:
            yield from _leaves(f"{path}.{key}", each, depth - 1)
