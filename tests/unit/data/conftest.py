"""Image folders made on the spot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

MakeClass = Callable[..., None]


@pytest.fixture
def make_class() -> MakeClass:
    """Write ``count`` images of random pixels into a class folder."""

    def make(folder: Path, count: int = 3, size: tuple[int, int] = (32, 32), suffix: str = ".png") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        random = np.random.default_rng(list(str(folder).encode()))
        for i in range(count):
            pixels = random.integers(0, 256, (size[1], size[0], 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"{i:03d}{suffix}")

    return make
