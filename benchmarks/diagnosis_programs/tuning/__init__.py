"""The tuning half: programs on which checks, thresholds and the rules of the verdict were chosen."""

from __future__ import annotations

from diagnosis_programs.fault import Fault
from diagnosis_programs.tuning.code import CODE
from diagnosis_programs.tuning.data import DATA
from diagnosis_programs.tuning.settings import SETTINGS
from diagnosis_programs.tuning.sound import SOUND
from diagnosis_programs.tuning.varied import VARIED

__all__ = ["FAULTS", "SOUND"]

FAULTS: list[Fault] = [*SETTINGS, *CODE, *DATA, *VARIED]
