"""The checking half: faults of images, labels and batches."""

from __future__ import annotations

from diagnosis_programs.fault import Fault

DATA: list[Fault] = []
