"""Which half a program belongs to: thresholds are chosen on the one, and judged on the other.

The rule was written before any threshold was tuned: within each kind in order of a hash of the name, one to
the tuning half, the next to the checking half, and so on across kinds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Literal, Protocol

Half = Literal["tuning", "checking"]
HALVES: tuple[Half, Half] = ("tuning", "checking")


class Named(Protocol):
    """A fault or a healthy program."""

    @property
    def name(self) -> str:
        """Unique."""

    @property
    def kind(self) -> str:
        """What is shared out evenly."""


def halves(programs: Mapping[str, Named]) -> dict[str, Half]:
    """The half of each program, by name."""
    order = sorted(programs.values(), key=lambda each: (each.kind, _hash(each.name)))
    return {each.name: HALVES[position % 2] for position, each in enumerate(order)}


def _hash(name: str) -> str:
    return hashlib.blake2b(name.encode(), digest_size=8).hexdigest()
