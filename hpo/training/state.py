"""The position of a training between two steps: what it needs to resume, besides weights and optimizer."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from hpo.training.generators import GeneratorStates


@dataclass(frozen=True)
class EpochState:
    """An unfinished epoch. ``EpochState(4)`` is the start of the fourth: the rest follows from its number."""

    epoch: int = 1
    """Counts from 1."""
    steps: int = 0
    """The number of its steps that are done."""
    losses: Tensor = field(default_factory=lambda: torch.empty(0))
    """(steps,) float32, the losses of these steps, on the CPU."""
    watched: int = 0
    """The number of losses that the callbacks have received."""
    correct: int = 0
    """Images classified correctly so far."""
    seconds: float = 0.0
    """Training time so far."""
    augmentation: Tensor | None = None
    """The augmentation generator's state (bytes,) uint8; None at an epoch's start."""
    generators: GeneratorStates = field(default_factory=dict)
    """States of the global generators; empty at an epoch's start."""
