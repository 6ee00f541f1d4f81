"""Which half a program belongs to: thresholds are chosen on the one, and judged on the other.

The checking half is what the files ``checking_*.py`` list: 87 faults and 30 sound programs, on bases and
networks of their own. Their author had read no check, threshold or rule of the verdict (of the causes, the
list alone, for the labels). Before any verdict on them, each was trained once without the babysitter, and was
kept if it hurts, or trains well. All else is the tuning half. A program whose verdict was looked at while a
check, a threshold or a rule could still be changed belongs to the tuning half from then on, as those of
``other_*.py`` do, which were a checking half once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from diagnosis_programs.checking_code import CODE
from diagnosis_programs.checking_data import DATA
from diagnosis_programs.checking_healthy import SOUND
from diagnosis_programs.checking_settings import SETTINGS

Half = Literal["tuning", "checking"]
HALVES: tuple[Half, ...] = ("tuning", "checking")
_CHECKING = frozenset(each.name for each in (*SETTINGS, *CODE, *DATA, *SOUND))


def halves(names: Iterable[str]) -> dict[str, Half]:
    """The half of each fault or sound program, by name."""
    return {name: "checking" if name in _CHECKING else "tuning" for name in names}
