"""A small data set that a small network learns in two epochs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from hpo.integrations import plain

Loader = DataLoader[tuple[torch.Tensor, ...]]
_LIBRARIES = ("test_lightning.py", "test_transformers.py")
"""All of their tests are slow, and so is importing the libraries: 2 s in each test process."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return (config.getoption("-m") == "not slow" and collection_path.name in _LIBRARIES) or None


@pytest.fixture
def loaders() -> tuple[Loader, Loader]:
    """Return loaders of 480 training and 96 validation images (3, 6, 6) of 4 classes."""
    torch.manual_seed(0)
    labels = torch.randint(4, (576,))
    images = torch.randn(576, 3, 6, 6) + 2 * torch.randn(4, 3, 1, 1)[labels]
    train, val = TensorDataset(images[:480], labels[:480]), TensorDataset(images[480:], labels[480:])
    return DataLoader(train, batch_size=16, shuffle=True), DataLoader(val, batch_size=48)


@pytest.fixture
def network() -> torch.nn.Sequential:
    torch.manual_seed(1)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(128, 4)
    )


@pytest.fixture(autouse=True)
def no_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin without a watched training."""
    monkeypatch.setattr(plain, "_current", None)
