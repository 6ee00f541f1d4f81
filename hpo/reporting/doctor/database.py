"""The database: can it be reached, does this hpo understand it, does it answer quickly?"""

from __future__ import annotations

import os
from pathlib import Path

from hpo.errors import StorageError, StorageUrlError
from hpo.reporting.doctor.diagnosis import Diagnosis, ok, problem, warning
from hpo.results.reach import Reached, reach
from hpo.results.revision import HEAD

_SLOW_MS = 100.0
"""Each epoch is written in several round trips: above this they would be felt in short trials."""


def database(url: str) -> Diagnosis:
    """Reachable, kind, schema, latency."""
    try:
        found = reach(url)
    except (StorageError, StorageUrlError) as error:
        return problem(str(error), "use another --storage, or mend this one")
    if not found.exists:
        return _not_there_yet(Path(found.place))
    said = f"{found.place}, {found.engine}, {_schema(found)}, answers in {found.answer_ms:.1f} ms"
    if found.answer_ms > _SLOW_MS:
        return warning(said, "train nearer to the database: every epoch is written there")
    return ok(said)


def _schema(found: Reached) -> str:
    if found.schema is None:
        return "no study yet"
    return f"schema {found.schema}" + ("" if found.schema == HEAD else f" (`hpo run` brings it to {HEAD})")


def _not_there_yet(path: Path) -> Diagnosis:
    folder = path.parent
    if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
        return ok(f"{path}, SQLite, is made by the first `hpo run`")
    reason = "cannot be written" if folder.is_dir() else "does not exist"
    return problem(f"{path} cannot be made: {folder} {reason}", "use another --storage, or make the folder")
