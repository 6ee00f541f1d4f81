"""What is kept of the batches of a loop, on the device."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from torch import Tensor

from hpo.checks.measure.examples import Examples

_LAST = 40
"""Batches whose outputs are compared with labels at the end."""


@dataclass
class Batch:
    """The first forward pass of a step, on the device."""

    rows: Tensor | None = None
    """(B,) fingerprints."""
    labels: Tensor | None = None
    """(B, ...)."""
    label_rows: Tensor | None = None
    inputs: Tensor | None = None
    """(B, D) as ``described``."""
    outputs: Tensor | None = None
    """(B, D)."""
    width: int = 0
    """Columns of the first output."""
    number: int = 0
    is_fresh: bool = True
    """Whether it is in the first epoch."""
    is_plain: bool = False
    """Whether ``inputs`` are the values of one tensor."""

    @property
    def has_row_labels(self) -> bool:
        """Whether each example has its own label."""
        return self.rows is not None and self.labels is not None and len(self.rows) == len(self.labels)


@dataclass
class Kept:
    """What was kept of a loop's data."""

    batches: list[Batch] = field(default_factory=list)
    """Of the first steps."""
    last: deque[Batch] = field(default_factory=lambda: deque(maxlen=_LAST))
    train: Examples | None = None
    val: Examples | None = None
    validated: list[Tensor] = field(default_factory=list)
    """Fingerprints (n,) of the passes of the first validation."""
