"""The checking half: faults of networks, losses and training loops."""

from __future__ import annotations

from diagnosis_programs.fault import Fault

CODE: list[Fault] = []
