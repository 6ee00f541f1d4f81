"""Counter-based random numbers: every draw is a function of a key, never of earlier draws.

The same study therefore gives the same configurations, weights, data order and augmentation with one worker
or fifty, before or after a restart, and no generator state has to be saved.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass

import numpy as np

JITTER = random.SystemRandom()
"""For waiting times. Python's global generator belongs to the user's network, and it is seeded: all workers
would wait equally long."""


@dataclass(frozen=True)
class Key:
    """A node in the tree of all draws: a seed and a path, e.g. ``Key(0) / 7 / "lr"``."""

    seed: int
    path: tuple[str | int, ...] = ()

    def __truediv__(self, name: str | int) -> Key:
        return Key(self.seed, (*self.path, name))

    def integer(self) -> int:
        """Return a uniform integer in [0, 2**63), as ``torch.Generator.manual_seed`` needs it."""
        return self._bits() >> 1

    def uniform(self) -> float:
        """Return a uniform float in [0, 1) with 53 random bits."""
        return (self._bits() >> 11) * 2.0**-53

    def numpy(self) -> np.random.Generator:
        """Return a NumPy generator (Philox) that starts at this key."""
        return np.random.Generator(np.random.Philox(key=self._bits()))

    def _bits(self) -> int:
        # repr distinguishes 1 from "1", and quotes special characters.
        text = repr((self.seed, *self.path))
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
