"""The user's own training in a study: what trains a trial, what it may use, and the values that it gets."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_serializer, field_validator

TrainerKind = Literal["images", "function", "command"]
"""What trains a trial: the built-in training of image classifiers, a function of the user's, or a command."""
TRAINER_PATTERN = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
"""``package.module:function``."""


@dataclass(frozen=True)
class UserConfiguration:
    """The values of one trial of the user's own training by name, without those that do not apply to it."""

    values: Mapping[str, Any]

    @property
    def epochs(self) -> int | None:
        """The trial's budget in epochs; None if the study sets none."""
        epochs: int | None = self.values.get("epochs")
        return epochs

    def applicable(self) -> dict[str, Any]:
        """Return every value, as it is stored."""
        return dict(self.values)

    def model_dump(self) -> dict[str, Any]:
        """Return every value."""
        return dict(self.values)

    @classmethod
    def stored(cls, values: Mapping[str, Any]) -> UserConfiguration:
        """Return the configuration from the values that ``applicable`` returned."""
        return cls(dict(values))


_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_BINARY_UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]+)")
SMALLEST_MEMORY = 64 * 10**6
"""A Python process that has imported NumPy takes more."""


def memory_bytes(text: str) -> int:
    """Return the number of bytes that ``4GB`` or ``512 MiB`` stands for. Raises ``ValueError``."""
    found = _SIZE.fullmatch(text.strip())
    units = {name.lower(): size for name, size in (_UNITS | _BINARY_UNITS).items()}
    size = units.get(found[2].lower()) if found else None
    if found is None or size is None:
        raise ValueError(f"{text!r} is not a size of memory, e.g. 4GB or 512MiB")
    size_of_it = float(found[1]) * size
    if not math.isfinite(size_of_it):
        raise ValueError(f"{text[:40]!r} is not a size of memory, e.g. 4GB or 512MiB")
    return round(size_of_it)


def memory_text(size: int) -> str:
    """Return a number of bytes as ``memory_bytes`` reads it: ``4GB``, ``512MiB``."""
    for units in (_UNITS, _BINARY_UNITS):
        name, unit = next((name, unit) for name, unit in reversed(units.items()) if size >= unit)
        if size % unit == 0 and (unit > 1 or size < 1000):
            return f"{size // unit}{name}"
    return f"{size}B"


class TrialLimits(BaseModel):
    """What a trial of the user's own training may use before it is ended."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    minutes: float | None = Field(
        default=None, description="time of one trial in minutes, over all attempts", gt=0
    )
    memory: int | None = Field(
        default=None,
        description="memory of the process that trains a trial, e.g. 4GB or 512MiB",
        ge=SMALLEST_MEMORY,
    )

    @field_validator("memory", mode="before")
    @classmethod
    def _size(cls, value: Any) -> Any:
        return memory_bytes(value) if isinstance(value, str) else value

    @field_serializer("memory")
    def _as_written(self, memory: int | None) -> str | None:
        return None if memory is None else memory_text(memory)
