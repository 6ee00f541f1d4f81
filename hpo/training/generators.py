"""The global generators of Python, NumPy and, once it is imported, PyTorch."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import torch

GeneratorStates: TypeAlias = dict[str, Any]
"""By generator; containers of numbers and of tensors, which are arrays if PyTorch is not imported."""


def seed_generators(seed: int) -> None:
    """Seed all of them, on all devices."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)
    _seed_numpy_and_python(seed)


def generator_states(device: torch.device | str) -> GeneratorStates:
    """Return the states of the generators that a training on ``device`` draws from."""
    _, words, *rest = np.random.get_state()
    integers: Any = np.asarray(words, dtype=np.int64)
    states: GeneratorStates = {"python": random.getstate()}
    if "torch" in sys.modules:
        import torch

        kind = torch.device(device).type
        states["cpu"] = torch.get_rng_state()
        if kind == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(device)
        if kind == "mps":
            states["mps"] = torch.mps.get_rng_state()
        integers = torch.from_numpy(integers)
    return {**states, "numpy": [integers, *rest]}


def restore_generators(states: GeneratorStates, device: torch.device | str) -> None:
    """Set the generators back to these states; a generator without one stays as it is."""
    if "cpu" in states:
        import torch

        kind = torch.device(device).type
        torch.set_rng_state(states["cpu"])
        if "cuda" in states and kind == "cuda":
            torch.cuda.set_rng_state(states["cuda"], device)
        if "mps" in states and kind == "mps":
            torch.mps.set_rng_state(states["mps"])
    if "python" in states:
        random.setstate(states["python"])
    if "numpy" in states:
        words, *rest = states["numpy"]
        np.random.set_state(("MT19937", np.asarray(words).astype(np.uint32), *rest))


@contextmanager
def kept_generators() -> Iterator[None]:
    """Restore the generators of the CPU afterwards."""
    import torch

    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


@contextmanager
def seeded_for_construction(seed: int) -> Iterator[None]:
    """Seed the generators of the CPU inside, and restore them afterwards."""
    import torch

    with kept_generators():
        torch.default_generator.manual_seed(seed)
        _seed_numpy_and_python(seed)
        yield


def _seed_numpy_and_python(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)
