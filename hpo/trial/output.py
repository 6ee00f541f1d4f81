"""Captured output: what this process prints is recorded with the trial that was running."""

from __future__ import annotations

import os
import sys
from pathlib import Path

MOST_BYTES = 65_536
"""Of a trial's output, start and end are kept; a network that prints at each step would fill the database."""
HEAD_BYTES = 16_384
LARGE_BYTES = 4 << 20
"""Size of the file from which its middle is cut out while the trial trains."""

_log: Path | None = None


def capture_to(path: Path) -> None:
    """Set the file that this process's stdout and stderr are appended to."""
    global _log
    _log = path


def drain() -> str:
    """Return head and tail of the output since the last call, and empty the file."""
    if _log is None:
        return ""
    sys.stdout.flush()
    sys.stderr.flush()
    text = head_and_tail(_log)
    os.truncate(_log, 0)
    return text


def bound() -> None:
    """Cut the middle out of the file if it has grown large: what is printed must not fill the disk."""
    if _log is None or _log.stat().st_size < LARGE_BYTES:
        return
    kept = head_and_tail(_log).encode()
    os.truncate(_log, 0)
    with _log.open("ab") as file:  # as all that writes to it
        file.write(kept + b"\n")


def head_and_tail(path: Path) -> str:
    """Return a file as text; of a large one the start and the end, in ``MOST_BYTES`` together."""
    size = path.stat().st_size
    if size <= MOST_BYTES:
        return tail(path)
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    first = head[: head.rfind(b"\n") + 1].decode(errors="replace")
    last = tail(path, MOST_BYTES - HEAD_BYTES)
    left_out = size - len(first.encode()) - len(last.encode())
    return f"{first}[... {left_out / 1e3:.0f} kB left out ...]\n{last}"


def tail(path: Path, most: int = MOST_BYTES) -> str:
    """Return the last ``most`` bytes of a file as text, from the start of a line."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - most))
        found = file.read()
    if size > most:
        found = found[found.find(b"\n") + 1 :]
    return found.decode(errors="replace").strip()
