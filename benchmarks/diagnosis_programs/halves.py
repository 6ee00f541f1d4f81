"""Which half a program belongs to: thresholds are chosen on the one, and judged on the other.

The checking half is what the files ``checking_*.py`` list: 48 faults and 16 sound programs, on bases of
their own. They were written last, by an author who had read no check, threshold or rule of the verdict (of
the causes, the list alone, for the labels). None had been trained on images by then: that a fault hurts,
and that a sound program trains well, was expected, not measured. All else is the tuning half. A program for
whose sake a check, a threshold or a rule is changed belongs to the tuning half from then on.
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
