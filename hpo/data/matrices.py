"""The memory that preprocessing by principal components needs. Does not load PyTorch."""

from __future__ import annotations

from hpo.errors import ConfigurationError
from hpo.limits import memory

KINDS = ("pca", "whiten", "zca")
"""Of preprocessing."""
_MATRICES = 8
"""Of float64, at the peak of the decomposition."""
_SHARE = 1 / 3


def refuse_large_matrices(preprocessing: str, values: int) -> None:
    """Raise ``ConfigurationError`` if principal components of images with so many values do not fit."""
    room, needed = memory(), _MATRICES * 8 * values**2
    if preprocessing in KINDS and needed > _SHARE * room.total:
        raise ConfigurationError(
            f"preprocessing: {preprocessing} needs {needed / 1e9:,.1f} GB for matrices of {values:,} x "
            f"{values:,} (the values of an image), more than a third of {room.described}: use a smaller "
            "image_size, channels: 1, or preprocessing: standardize"
        )
