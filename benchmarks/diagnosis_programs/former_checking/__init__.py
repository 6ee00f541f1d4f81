"""Part of the tuning half: programs of a former checking half.

They were moved to the tuning half when checks were changed after their verdicts had been read.
"""

from __future__ import annotations

from diagnosis_programs.fault import Fault
from diagnosis_programs.former_checking.code import CODE
from diagnosis_programs.former_checking.data import DATA
from diagnosis_programs.former_checking.settings import SETTINGS
from diagnosis_programs.former_checking.sound import SOUND

__all__ = ["FAULTS", "SOUND"]

FAULTS: list[Fault] = [*SETTINGS, *CODE, *DATA]
