"""The checking half: faults of hyperparameters and of how weights start."""

from __future__ import annotations

from diagnosis_programs.fault import Fault

SETTINGS: list[Fault] = []
