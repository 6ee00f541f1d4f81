from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def _denormals() -> Iterator[None]:
    """A worker in this process switches denormal numbers off; other tests need them."""
    yield
    torch.set_flush_denormal(False)
