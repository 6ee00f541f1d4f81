"""The global generators that a network may draw from: PyTorch's, NumPy's and Python's."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
import torch

GeneratorStates: TypeAlias = dict[str, Any]
"""By generator; tensors, and containers of tensors and numbers."""


def seed_generators(seed: int) -> None:
    """Seed all of them, on all devices."""
    torch.manual_seed(seed)
    _seed_numpy_and_python(seed)


def generator_states(device: torch.device) -> GeneratorStates:
    """Return the states of the generators that a training on ``device`` draws from."""
    states: GeneratorStates = {"cpu": torch.get_rng_state(), "python": random.getstate()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    if device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    _, words, *rest = np.random.get_state()
    states["numpy"] = [torch.from_numpy(np.asarray(words, dtype=np.int64)), *rest]
    return states


def restore_generators(states: GeneratorStates, device: torch.device) -> None:
    """Set the generators back to these states; a generator without one stays as it is."""
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)
    if "mps" in states and device.type == "mps":
        torch.mps.set_rng_state(states["mps"])
    if "python" in states:
        random.setstate(states["python"])
    if "numpy" in states:
        words, *rest = states["numpy"]
        np.random.set_state(("MT19937", words.numpy().astype(np.uint32), *rest))


@contextmanager
def kept_generators(cuda: Sequence[torch.device] = ()) -> Iterator[None]:
    """Restore the generators of the CPU and of these CUDA devices afterwards."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=list(cuda)):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


@contextmanager
def seeded_for_construction(seed: int) -> Iterator[None]:
    """Seed the generators of the CPU inside, and restore them afterwards."""
    with kept_generators():
        torch.default_generator.manual_seed(seed)
        _seed_numpy_and_python(seed)
        yield


def _seed_numpy_and_python(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)
