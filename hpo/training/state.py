"""Where a training stands between two steps: what it needs to go on, beside weights and optimizer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class EpochState:
    """An epoch under way. ``EpochState(4)`` is where the fourth begins: all else follows from its number."""

    epoch: int = 1
    """Counts from 1."""
    steps: int = 0
    """How many of its steps are done."""
    losses: Tensor = field(default_factory=lambda: torch.empty(0))
    """(steps,) float32, theirs, on the CPU."""
    watched: int = 0
    """How many of them the watch has been told."""
    correct: int = 0
    """Images classified right so far."""
    seconds: float = 0.0
    """Training time so far."""
    augmentation: Tensor | None = None
    """The augmentation generator's state (bytes,) uint8; None at an epoch's start."""
    generators: dict[str, Tensor] = field(default_factory=dict)
    """States of torch's global generators, by kind of device; empty at an epoch's start."""


class CheckpointHook(Protocol):
    """Keeps a training's state when it wants to; weights and optimizer are the keeper's own to copy."""

    def is_due(self) -> bool:
        """Whether the state is wanted now. Asked after each step."""

    def keep(self, state: EpochState) -> None:
        """Take the state; may raise to stop the training."""


def generator_states(device: torch.device) -> dict[str, Tensor]:
    """States (bytes,) uint8 of torch's global generators from which a training on ``device`` draws."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    if device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def restore_generators(states: dict[str, Tensor], device: torch.device) -> None:
    """Set them to what they were."""
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)
    if "mps" in states and device.type == "mps":
        torch.mps.set_rng_state(states["mps"])
