"""Python's, NumPy's and, once it is imported, PyTorch's global generators."""

from __future__ import annotations

import random
import sys
from typing import Any

import numpy as np


def seed_generators(seed: int) -> None:
    """Seed all of them, on all devices."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


def generator_states(device: str) -> dict[str, Any]:
    """Return the states of the generators that a training on ``device`` draws from."""
    states: dict[str, Any] = {"python": random.getstate(), "numpy": np.random.get_state()}
    if "torch" in sys.modules:
        import torch

        from hpo.training import generators

        states["torch"] = generators.generator_states(torch.device(device))
    return states


def restore_generators(states: dict[str, Any], device: str) -> None:
    """Set the generators back to these states."""
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])
    if "torch" in states:
        import torch

        from hpo.training import generators

        generators.restore_generators(states["torch"], torch.device(device))
