"""The checking half: programs that no check, threshold or rule was changed for.

Their author had read no check, threshold or rule of the verdict (of the causes, only the list, for the
labels). Each was trained once without the babysitter before any verdict on it, and was kept only if it hurts
(a fault) or trains well (a sound program).
"""

from __future__ import annotations

from diagnosis_programs.checking.code import CODE
from diagnosis_programs.checking.data import DATA
from diagnosis_programs.checking.settings import SETTINGS
from diagnosis_programs.checking.sound import SOUND
from diagnosis_programs.fault import Fault

__all__ = ["FAULTS", "SOUND"]

FAULTS: list[Fault] = [*SETTINGS, *CODE, *DATA]
