"""All programs; to import this fills PROGRAMS."""

from __future__ import annotations

import importlib
import pkgutil

from loop_programs import seen, unseen
from loop_programs.program import PROGRAMS, Program

for _half in (seen, unseen):
    for _module in pkgutil.iter_modules(_half.__path__):
        importlib.import_module(f"{_half.__name__}.{_module.name}")


def programs(half: str | None = None, kind: str | None = None, names: tuple[str, ...] = ()) -> list[Program]:
    """Return the programs of a half, of a kind, of these names (a family's name stands for all of it)."""
    return [
        each
        for each in PROGRAMS.values()
        if half in (None, each.half)
        and kind in (None, each.kind)
        and (not names or each.name in names or each.family in names)
    ]
