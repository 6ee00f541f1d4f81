"""The labeled faults. Causes, fixes and bases were written down before any verdict on them had been seen.

A fault counts only if it hurts: the benchmark measures each against its sound base, seed by seed.
"""

from __future__ import annotations

from diagnosis_programs import checking, former_checking, tuning
from diagnosis_programs.fault import Fault

FAULTS: dict[str, Fault] = {
    fault.name: fault for fault in (*tuning.FAULTS, *former_checking.FAULTS, *checking.FAULTS)
}
