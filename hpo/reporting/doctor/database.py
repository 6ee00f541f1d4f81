"""The database: can it be reached, does hpo understand it, how quickly does it answer, by which clock?"""

from __future__ import annotations

import os
from pathlib import Path

from hpo.errors import StorageError, StorageUrlError
from hpo.reporting.doctor.diagnosis import Diagnosis, ok, problem, warning
from hpo.results.reach import Reached, reach, seconds_ahead
from hpo.results.revision import HEAD
from hpo.results.url import parse_url

_SLOW_MS = 100.0
"""Each epoch is written in several round trips: above this they would be felt in short trials."""
_CLOCKS_APART = 5.0
"""In seconds. Leases count by the database's clock alone; what suffers is who compares times."""


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


def clock(url: str) -> Diagnosis:
    """Whether this machine's clock and the database's agree."""
    if parse_url(url).drivername == "sqlite":
        return ok("an SQLite database goes by this machine's clock")
    ahead = seconds_ahead(url)
    if abs(ahead) <= _CLOCKS_APART:
        return ok(f"within {abs(ahead):.2f} s of the database's, by which leases count")
    where = "behind" if ahead > 0 else "ahead of"
    return warning(
        f"{abs(ahead):,.0f} s {where} the database's; leases are safe, as they count by the database's alone",
        "times in logs here and in the database do not fit together: set both clocks by NTP",
    )


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
