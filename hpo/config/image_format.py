"""The format of a study's images: height, width and channels, and how other sizes are made to fit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Resize: TypeAlias = Literal["squeeze", "crop", "pad"]
Shape: TypeAlias = tuple[int, int, int]

AUTO = "auto"
SMALLEST, LARGEST = 8, 224
"""Pixels of a side."""
_SIZE = re.compile(r"(\d{1,4})(?:\s*[x×]\s*(\d{1,4}))?")


@dataclass(frozen=True)
class ImageFormat:
    """What every image of a study is made to; the defaults are CIFAR-10's (``STANDARD``)."""

    height: int = 32
    width: int = 32
    channels: int = 3
    resize: Resize = "squeeze"

    @classmethod
    def of_fields(cls, values: Mapping[str, Any]) -> ImageFormat:
        """Return the format of a configuration's fields; ``auto`` is the default of each."""
        size, channels = str(values.get("image_size", AUTO)), str(values.get("channels", AUTO))
        height, width = (cls.height, cls.width) if size == AUTO else sides(size)
        resize = values.get("resize", cls.resize)
        return cls(height, width, cls.channels if channels == AUTO else int(channels), resize)

    @property
    def fields(self) -> dict[str, str]:
        """The fields of a configuration that give this format."""
        return {"image_size": self.size, "resize": self.resize, "channels": str(self.channels)}

    @property
    def size(self) -> str:
        """The value of ``image_size``: ``64``, or ``48x64`` (height x width)."""
        return str(self.height) if self.height == self.width else f"{self.height}x{self.width}"

    @property
    def shape(self) -> Shape:
        """Channels, height and width."""
        return self.channels, self.height, self.width

    @property
    def values(self) -> int:
        """The number of values of an image, one byte each."""
        return self.channels * self.height * self.width

    @property
    def short_side(self) -> int:
        """The smaller of height and width, in pixels."""
        return min(self.height, self.width)

    @property
    def signature(self) -> tuple[str, ...]:
        """What a cache of such images is called by beside their source; nothing for the default."""
        return () if self == STANDARD else (f"{self.channels}x{self.height}x{self.width}", self.resize)

    @property
    def text(self) -> str:
        """The size and the colors in words: ``32 x 32 pixels in color``."""
        return f"{self.height} x {self.width} pixels {'in color' if self.channels == 3 else 'in gray'}"


STANDARD = ImageFormat()
"""The format of CIFAR-10, and of all studies from before sizes could be chosen."""


def sides(size: str) -> tuple[int, int]:
    """Return height and width of an ``image_size`` that is not ``auto``. Raises ``ValueError``."""
    found = _SIZE.fullmatch(size.strip())
    if not found:
        raise ValueError(f"{size!r} is not {SIZE_WANTED}")
    height, width = int(found[1]), int(found[2] or found[1])
    for side in (height, width):
        if not SMALLEST <= side <= LARGEST:
            raise ValueError(f"{size} has a side of {side}: use {SMALLEST} to {LARGEST} pixels")
    return height, width


SIZE_WANTED = f"a size: auto, a number of pixels from {SMALLEST} to {LARGEST}, or HEIGHTxWIDTH"


def image_size_text(value: object) -> object:
    """Return an ``image_size`` as it is stored: ``auto``, ``64`` or ``48x64``. Raises ``ValueError``."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return value  # pydantic refuses it
    text = str(value)
    return text if text == AUTO else ImageFormat(*sides(text)).size
