"""Room and rights where results are kept."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from pathlib import Path

from hpo.errors import StorageUrlError
from hpo.reporting.doctor.diagnosis import Diagnosis, ok, warning
from hpo.results.url import parse_url
from hpo.settings import settings

_LITTLE_BYTES = 1e9
"""A trial of the default network has two checkpoints of 0.7 MB (benchmarks/checkpoints.py), a wide one a
hundred times as much; an SQLite database needs its own size again while it is backed up."""


def disk(url: str) -> Diagnosis:
    """How much room there is for checkpoints, kept weights and an SQLite database, by disk."""
    places = {
        "checkpoints ($HPO_CHECKPOINTS)": settings().checkpoints.expanduser().absolute(),
        "kept weights ($HPO_ARTIFACTS)": settings().artifacts.expanduser().absolute(),
        **_database_folder(url),
    }
    refusing = [
        f"{name}: {existing_part(place)} is no folder that can be written"
        for name, place in places.items()
        if not is_writable(existing_part(place))
    ]
    if refusing:
        return warning("; ".join(refusing), "set the variable to a folder that can be written")
    shared: dict[int, list[str]] = defaultdict(list)
    free: dict[int, int] = {}
    for name, place in places.items():
        existing = existing_part(place)
        device = existing.stat().st_dev
        shared[device].append(name)
        free[device] = shutil.disk_usage(existing).free
    rooms = [f"{free[each] / 1e9:,.1f} GB are free for {', '.join(names)}" for each, names in shared.items()]
    if min(free.values()) < _LITTLE_BYTES:
        return warning(
            "; ".join(rooms), "make room (`hpo db prune` lists what can go), or use folders on another disk"
        )
    return ok("; ".join(rooms))


def existing_part(place: Path) -> Path:
    """The place, or the nearest folder above it that is there."""
    return next(each for each in (place, *place.parents) if each.exists())


def is_writable(folder: Path) -> bool:
    """Whether files can be made in the folder."""
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def _database_folder(url: str) -> dict[str, Path]:
    try:
        parsed = parse_url(url)
    except StorageUrlError:  # the database's own line says it
        return {}
    return (
        {"the database": Path(str(parsed.database)).absolute().parent}
        if parsed.drivername == "sqlite"
        else {}
    )
