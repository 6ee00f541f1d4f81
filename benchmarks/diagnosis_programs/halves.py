"""Which half a program belongs to: thresholds are chosen on the one, and judged on the other.

Since both were seen in the end, there is a third part, "fresh": faults written after all thresholds.

The rule for the two was written before any threshold was tuned: within each kind in order of a hash of the
name, one to the tuning half, the next to the checking half, and so on across kinds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Literal, Protocol

from diagnosis_programs.faults_fresh import FRESH

Half = Literal["tuning", "checking", "fresh"]
HALVES: tuple[Half, ...] = ("tuning", "checking", "fresh")
_SHARED: tuple[Half, Half] = ("tuning", "checking")
_FRESH = frozenset(fault.name for fault in FRESH)


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
    older = [each for each in programs.values() if each.name not in _FRESH]
    order = sorted(older, key=lambda each: (each.kind, _hash(each.name)))
    shared = {each.name: _SHARED[position % 2] for position, each in enumerate(order)}
    return {**shared, **{name: "fresh" for name in programs if name in _FRESH}}


def _hash(name: str) -> str:
    return hashlib.blake2b(name.encode(), digest_size=8).hexdigest()
