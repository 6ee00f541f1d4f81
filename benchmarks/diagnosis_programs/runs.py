"""Every training of the benchmark by name, trained once and stored with the babysitter's observations."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from diagnosis_programs import fault, sound
from diagnosis_programs.bases import BASES
from diagnosis_programs.faults import FAULTS
from diagnosis_programs.halves import Half, halves
from diagnosis_programs.healthy import HEALTHY
from diagnosis_programs.program import Program
from diagnosis_programs.script import Curve, Script
from hpo.checks import observations, preflight
from hpo.checks.observations import Observations
from hpo.config.configuration import Precision


@dataclass(frozen=True)
class Run:
    """One training: a program and a seed."""

    group: str
    """bases, faults, healthy, repaired or value: a folder of the recording."""
    name: str
    seed: int
    make: Callable[[], Program]
    watched: bool = True
    precision: Precision = "fp32"

    def path(self, folder: Path) -> Path:
        """Return the file of its curve."""
        return folder / self.group / f"{self.name}-{self.seed}.json"

    def train(self, folder: Path) -> None:
        """Train to the end and store the result."""
        script = Script(self.make(), self.seed, watched=self.watched, precision=self.precision)
        try:
            curve = script.train()
        except IndexError as error:  # labels out of range: the script crashes, as a user's would
            curve = script.curve
            curve.error = f"{type(error).__name__}: {error}"
        keep(self.path(folder), curve, script.sitter.seen if self.watched else None)


def keep(path: Path, curve: Curve, seen: Observations | None) -> None:
    """Write both files, the curve last: it exists only if the recording is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if seen is not None:
        _write(path.with_suffix(".seen"), pickle.dumps(seen))
    _write(path, json.dumps(dataclasses.asdict(curve)).encode())


def _write(path: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    Path(temporary).replace(path)


def curve_of(path: Path) -> Curve:
    """Return the recorded curve."""
    fields: dict[str, Any] = json.loads(path.read_text())
    return Curve(**fields)


class _Unpickler(pickle.Unpickler):
    """Finds classes by the names and modules that recordings of earlier versions have."""

    def find_class(self, module: str, name: str) -> Any:
        if module == observations.__name__ and hasattr(preflight, name):
            module = preflight.__name__
        return super().find_class(module, _RENAMED.get(name, name))


_RENAMED = {"Fed": "ForwardRecord"}
_OBSERVATIONS = TypeAdapter(Observations)


def seen_of(path: Path) -> Observations:
    """Return the babysitter's observations of a run. A pickle: load only your own recordings.

    Recordings with former names of classes and fields load, too.
    """
    with path.with_suffix(".seen").open("rb") as file:
        return _OBSERVATIONS.validate_python(_plain(_Unpickler(file).load()))


def _plain(value: Any) -> Any:
    """Return dataclasses as dictionaries of the fields that they were recorded with."""
    if dataclasses.is_dataclass(value):
        return {name: _plain(each) for name, each in vars(value).items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


def recordings(half: Half | None, precision: Precision = "fp32") -> list[Run]:
    """Bases, faults and healthy programs, of one half or of all: the first seed of all, then the next."""
    faults, healthy = (_names(programs, half) for programs in (FAULTS, HEALTHY))
    bases = sorted({FAULTS[name].base for name in faults})
    runs = [
        *(Run("bases", name, seed, partial(_base, name)) for name in bases for seed in fault.SEEDS),
        *(Run("faults", name, seed, partial(_faulty, name)) for name in faults for seed in fault.SEEDS),
        *(Run("healthy", name, seed, partial(_sound, name)) for name in healthy for seed in sound.SEEDS),
    ]
    ordered = sorted(runs, key=lambda run: run.seed)
    return [dataclasses.replace(run, precision=precision) for run in ordered]


def _names(programs: Iterable[str], half: Half | None) -> list[str]:
    return [name for name, its_half in halves(programs).items() if half in (None, its_half)]


def _base(name: str) -> Program:
    return BASES[name]


def _faulty(name: str) -> Program:
    return FAULTS[name].faulty()


def _sound(name: str) -> Program:
    return HEALTHY[name].program()
