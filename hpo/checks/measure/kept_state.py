"""What the measuring of a loop keeps between steps: plain data with tensors, for a checkpoint."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hpo.checks.measure.nested import mapped

_MOST_BYTES = 16 << 20
"""Of all tensors. What is kept of most loops is below 1 MiB; long sequences and wide tables need more."""


def stored(parts: dict[str, Any]) -> dict[str, Any] | None:
    """Return the parts with the places of their tensors; None if they are too large for a checkpoint."""
    found: list[Tensor] = []
    mapped(parts, lambda each: found.append(each) or each)  # type: ignore[func-returns-value]
    if sum(each.numel() * each.element_size() for each in found) > _MOST_BYTES:
        return None
    return {"parts": parts, "on_host": [each.device.type == "cpu" for each in found]}


def restored(plain: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """Return the parts; tensors that were not on the host go to ``device``."""
    on_host = iter(plain["on_host"])
    parts: dict[str, Any] = mapped(plain["parts"], lambda each: each if next(on_host) else each.to(device))
    return parts
