"""A training program as people write it, sound or with one mistake, and the list of all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from loop_programs.mistakes import MISTAKES
from loop_programs.watch import Watch

Half = Literal["seen", "unseen"]
HALVES: tuple[Half, ...] = ("seen", "unseen")
Train = Callable[[Watch], float]


@dataclass(frozen=True)
class Fault:
    """A mistake in a program."""

    mistake: str
    """A key of MISTAKES, and what the program asks ``watch.fault`` for."""
    causes: tuple[str, ...]
    """Names that count as right, the expected one first."""
    fixes: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    harmless: str = ""
    """What is wrong although the score stays good; empty where the score suffers."""
    raises: bool = False
    """The program ends with an exception, watched or not."""


def fault(mistake: str, *causes: str, harmless: str = "", raises: bool = False, **settings: object) -> Fault:
    """Return a fault whose causes are the usual ones of its kind after ``causes``."""
    usual = MISTAKES[mistake]
    names = tuple(dict.fromkeys([*causes, *usual.causes]))
    return Fault(mistake, names, usual.fixes, settings, harmless, raises)


@dataclass(frozen=True)
class Program:
    """One training; ``train`` returns its score, higher is better, about 1 at best."""

    name: str
    kind: str
    train: Train
    target: float
    """A sound program scores at least this, a faulty one less."""
    settings: Mapping[str, Any]
    fault: Fault | None = None
    evidence: bool = True
    """False if it is too early to tell whether the training works."""

    @property
    def family(self) -> str:
        """The name of the sound program."""
        return self.name.partition(".")[0]

    @property
    def half(self) -> Half:
        """The folder of the program, ``loop_programs/HALF/``."""
        return HALVES[HALVES.index(self.train.__module__.split(".")[1])]

    def treated(self, change: Mapping[str, Any]) -> Program | None:
        """The program after a verdict's ``change``; None if the program has nothing of what it names."""
        known = {name: value for name, value in change.items() if name in self.settings}
        mended = self.fault is not None and change.get("code") in self.fault.fixes
        if not known and not mended:
            return None
        settings = dict(self.settings)
        if mended and self.fault is not None:
            settings = dict(PROGRAMS[self.family].settings)
        return replace(self, settings={**settings, **known}, fault=None if mended else self.fault)


PROGRAMS: dict[str, Program] = {}


def loop(
    kind: str, *, target: float, faults: Sequence[Fault] = (), evidence: bool = True, **settings: object
) -> Callable[[Train], Train]:
    """Register a sound program, and one for each of ``faults``: ``name`` and ``name.mistake``.

    Raises ``ValueError`` if another program has the name.
    """

    def register(train: Train) -> Train:
        name = train.__name__
        if name in PROGRAMS:
            raise ValueError(f"two programs are named {name}")
        PROGRAMS[name] = Program(name, kind, train, target, settings, evidence=evidence)
        for each in faults:
            full = f"{name}.{each.mistake}"
            PROGRAMS[full] = Program(full, kind, train, target, {**settings, **each.settings}, each)
        return train

    return register
