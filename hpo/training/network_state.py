"""A network's state dict as tensors alone, which can be stored without code: also what it adds itself.

``get_extra_state`` may return any object. Numbers, texts, tensors and containers of them become JSON in a
tensor of bytes; reading it runs no code.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hpo.errors import ConfigurationError

_JSON = ":json"
"""Ends the name of an entry that was not a tensor."""


def network_state(model: nn.Module) -> dict[str, Tensor]:
    """Return the state dict with the network's own tensors, and everything else as JSON (bytes,) uint8.

    Raises ``ConfigurationError``, naming the entry, if part of it cannot be stored.
    """
    state: dict[str, Tensor] = {}
    for name, value in model.state_dict().items():
        if isinstance(value, Tensor):
            if value.layout is not torch.strided:
                raise ConfigurationError(
                    f"{name} in the network's state_dict is a sparse tensor, which cannot be stored: "
                    "register it as a dense one"
                )
            state[name] = value.detach()
        else:
            try:
                text = json.dumps(_plain(value))
            except TypeError as error:
                raise ConfigurationError(
                    f"{name} in the network's state_dict has {error}, which cannot be stored: "
                    "get_extra_state may return numbers, texts, tensors, and lists and dicts of them"
                ) from None
            state[name + _JSON] = torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)
    return state


def load_network_state(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load what ``network_state`` returned. Raises ``RuntimeError`` if it does not fit ``model``."""
    model.load_state_dict(
        {
            name.removesuffix(_JSON): _value(json.loads(bytes(each.cpu().numpy())))
            if name.endswith(_JSON)
            else each
            for name, each in state.items()
        }
    )


def state_shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Return the shape of each entry; () for those that are not tensors, whose size may change."""
    return {name: () if name.endswith(_JSON) else tuple(each.shape) for name, each in state.items()}


def _plain(value: Any) -> Any:
    """Return ``value`` for JSON: exact, and the same text for equal values. Raises ``TypeError``."""
    kind = type(value)
    if value is None or kind in (bool, int, str):
        return value
    if kind is float:
        return {"float": value.hex()}
    if kind is bytes:
        return {"bytes": _text(value)}
    if kind is tuple:
        return {"tuple": [_plain(each) for each in value]}
    if kind is list:
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {"dict": [[_plain(key), _plain(each)] for key, each in value.items()]}
    if isinstance(value, Tensor) and value.layout is torch.strided:
        flat = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        dtype = str(value.dtype).removeprefix("torch.")
        return {"tensor": [dtype, list(value.shape), _text(flat.numpy().tobytes())]}
    if isinstance(value, np.generic):
        return _plain(value.item())
    raise TypeError(f"a {kind.__name__}")


def _value(plain: Any) -> Any:
    if isinstance(plain, list):
        return [_value(each) for each in plain]
    if not isinstance(plain, dict):
        return plain
    ((kind, content),) = plain.items()
    if kind == "float":
        return float.fromhex(content)
    if kind == "bytes":
        return base64.b64decode(content)
    if kind == "tuple":
        return tuple(_value(each) for each in content)
    if kind == "dict":
        return {_value(key): _value(each) for key, each in content}
    dtype, shape, text = content
    content = bytearray(base64.b64decode(text))
    empty = torch.empty(0, dtype=getattr(torch, dtype))
    return torch.frombuffer(content, dtype=empty.dtype).reshape(shape) if content else empty.reshape(shape)


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
