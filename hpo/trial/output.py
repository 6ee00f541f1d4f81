"""Captured output: what this process prints is recorded with the trial that was running."""

from __future__ import annotations

import os
import sys
from pathlib import Path

MOST_BYTES = 65_536
"""Only the end of a trial's output is kept; a network that prints at each step would fill the database."""

_log: Path | None = None


def capture_to(path: Path) -> None:
    """Set the file that this process's stdout and stderr are appended to."""
    global _log
    _log = path


def drain() -> str:
    """Return the end of the output since the last call, and empty the file."""
    if _log is None:
        return ""
    sys.stdout.flush()
    sys.stderr.flush()
    text = tail(_log)
    os.truncate(_log, 0)
    return text


def tail(path: Path) -> str:
    """Return the last ``MOST_BYTES`` of a file as text, from the start of a line."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - MOST_BYTES))
        found = file.read()
    if size > MOST_BYTES:
        found = found[found.find(b"\n") + 1 :]
    return found.decode(errors="replace").strip()
