"""The labelled faults. Causes, fixes and bases were written down before any verdict on them had been seen.

A fault counts only if it hurts: the benchmark measures each against its sound base, seed by seed.
"""

from __future__ import annotations

from diagnosis_programs import checking_code, checking_data, checking_settings
from diagnosis_programs.fault import Fault
from diagnosis_programs.faults_of_code import LOSSES, MODES, NETWORKS, OUTPUTS, UPDATES
from diagnosis_programs.faults_of_data import AUGMENTATIONS, BATCHES, IMAGES, LABELS
from diagnosis_programs.faults_of_settings import PENALTIES, RATES, SCHEDULES, STARTS
from diagnosis_programs.faults_varied import VARIED
from diagnosis_programs.other_code import OTHER_CODE
from diagnosis_programs.other_data import OTHER_DATA
from diagnosis_programs.other_settings import OTHER_SETTINGS

_TUNING: list[Fault] = [
    *(*RATES, *SCHEDULES, *STARTS, *PENALTIES),
    *(*NETWORKS, *OUTPUTS, *LOSSES, *UPDATES, *MODES),
    *(*IMAGES, *AUGMENTATIONS, *LABELS, *BATCHES),
    *VARIED,
    *(*OTHER_SETTINGS, *OTHER_CODE, *OTHER_DATA),
]
_CHECKING: list[Fault] = [*checking_settings.SETTINGS, *checking_code.CODE, *checking_data.DATA]

FAULTS: dict[str, Fault] = {fault.name: fault for fault in (*_TUNING, *_CHECKING)}
