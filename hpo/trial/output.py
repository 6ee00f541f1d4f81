"""What this process prints, where that goes to a file of its own: kept with the trial that it came in."""

from __future__ import annotations

import os
import sys
from pathlib import Path

MOST_BYTES = 65_536
"""The end of what is printed in a trial; a network that prints at each step would fill the database."""

_log: Path | None = None


def capture_to(path: Path) -> None:
    """From now on, what is printed is in that file, to which this process appends."""
    global _log
    _log = path


def drain() -> str:
    """The end of what was printed since the last time, which the file then no longer has."""
    if _log is None:
        return ""
    sys.stdout.flush()
    sys.stderr.flush()
    text = tail(_log)
    os.truncate(_log, 0)
    return text


def tail(path: Path) -> str:
    """The last ``MOST_BYTES`` of a file as text, from the start of a line on."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - MOST_BYTES))
        found = file.read()
    if size > MOST_BYTES:
        found = found[found.find(b"\n") + 1 :]
    return found.decode(errors="replace").strip()
