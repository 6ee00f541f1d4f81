"""The position of a training between two steps: what it needs to resume, besides weights and optimizer."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class EpochState:
    """An epoch under way. ``EpochState(4)`` is the start of the fourth: the rest follows from its number."""

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
    generators: dict[str, Tensor] = field(default_factory=dict)
    """States of torch's global generators, by kind of device; empty at an epoch's start."""


def generator_states(device: torch.device) -> dict[str, Tensor]:
    """Return the states (bytes,) uint8 of the global generators that a training on ``device`` draws from."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    if device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def restore_generators(states: dict[str, Tensor], device: torch.device) -> None:
    """Set the generators back to these states."""
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)
    if "mps" in states and device.type == "mps":
        torch.mps.set_rng_state(states["mps"])
