"""Applies the remedy of each fault's verdict, and trains again: does the accuracy recover?"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from diagnosis_programs.faults import FAULTS
from diagnosis_programs.judging import HURTS, FaultJudged
from diagnosis_programs.program import Program
from diagnosis_programs.runs import Run, curve_of


@dataclass(frozen=True)
class Treatment:
    """One faulty run with the remedy that its verdict names."""

    name: str
    seed: int
    change: Mapping[str, Any]
    twin: float
    """Accuracy of the sound base with this seed."""

    def run(self) -> Run | None:
        """The training with the remedy; None if there is no remedy that a configuration can take."""
        if not self.change:
            return None
        try:
            FAULTS[self.name].treated(self.change)
        except ValueError:  # pydantic's: the remedy asks for what no configuration can be
            return None
        written = json.dumps(self.change, sort_keys=True, default=str)
        digest = hashlib.blake2b(written.encode(), digest_size=4).hexdigest()
        make = partial(_treated, self.name, dict(self.change))
        return Run("repaired", f"{self.name}-{digest}", self.seed, make, watched=False)

    def repaired(self, folder: Path) -> bool | None:
        """Whether the accuracy is back to that of the sound base; None if it has not been trained yet."""
        run = self.run()
        if run is None:
            return False
        path = run.path(folder)
        return curve_of(path).final_accuracy >= self.twin - HURTS if path.exists() else None


def _treated(name: str, change: Mapping[str, Any]) -> Program:
    return FAULTS[name].treated(change)


def treatments(faults: Sequence[FaultJudged]) -> list[Treatment]:
    """One for each run of the repairable faults that hurt; the first seed of all, then the next."""
    found = [
        Treatment(each.fault.name, seed, judgment.verdict.change, twin)
        for each in faults
        if each.counts and each.fault.repairable
        for seed, judgment, twin in zip(each.seeds, each.judgments, each.twins, strict=True)
    ]
    return sorted(found, key=lambda treatment: treatment.seed)
