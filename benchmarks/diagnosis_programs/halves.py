"""Which half a program belongs to: thresholds are chosen on one half and judged on the other.

The checking half is the folder ``checking``: 87 faults and 30 sound programs, on bases and networks of their
own. All else is the tuning half. A program moves to the tuning half, for good, once its verdict is read while
a check, a threshold or a rule can still change, as those of the folder ``former_checking`` did.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from diagnosis_programs import checking

Half = Literal["tuning", "checking"]
HALVES: tuple[Half, ...] = ("tuning", "checking")
_CHECKING = frozenset(each.name for each in (*checking.FAULTS, *checking.SOUND))


def halves(names: Iterable[str]) -> dict[str, Half]:
    """Return the half of each fault or sound program, by name."""
    return {name: "checking" if name in _CHECKING else "tuning" for name in names}
