"""Captured output: what this process prints is recorded with the trial that was running."""

from __future__ import annotations

import ctypes
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
    if _log is None or _bytes_on_disk(_log) < LARGE_BYTES or _punch_hole(_log):
        return
    kept = head_and_tail(_log).encode()  # what is written from here to the next line is lost
    os.truncate(_log, 0)
    with _log.open("ab") as file:  # as all that writes to it
        file.write(kept + b"\n")


def _bytes_on_disk(path: Path) -> int:
    found = path.stat()
    return getattr(found, "st_blocks", 0) * 512 or found.st_size  # a hole counts in the size alone


_KEEP_SIZE, _PUNCH_HOLE = 1, 2
"""Modes of ``fallocate`` in Linux."""


def _punch_hole(path: Path) -> bool:
    """Give the middle of a file back to the file system, whatever is written meanwhile; False if it cannot.

    What ``head_and_tail`` and ``tail`` read stays.
    """
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    fallocate = getattr(libc, "fallocate64", None) or getattr(libc, "fallocate", None)
    if fallocate is None:
        return False
    fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    with path.open("r+b") as file:
        length = file.seek(0, os.SEEK_END) - MOST_BYTES - HEAD_BYTES
        return length > 0 and fallocate(file.fileno(), _PUNCH_HOLE | _KEEP_SIZE, HEAD_BYTES, length) == 0


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
