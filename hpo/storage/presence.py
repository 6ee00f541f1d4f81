"""An SQLite database that is taken away while it is in use: deleted, moved, or another one put in its place.

SQLite itself keeps using the file that it opened, even if that file has no name anymore.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sqlite3
import tempfile
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, TypeAlias
from weakref import WeakSet

from hpo.errors import DatabaseTakenError, StorageError

FileId: TypeAlias = tuple[int, int]
"""Device and inode."""
_HEADER_BYTES = 100
_MAGIC = b"SQLite format 3\x00"
# Offsets in the header (sqlite.org/fileformat.html): the version that may write it, and its change counter.
_WRITE_VERSION, _CHANGES = 18, slice(24, 28)
_ROLLBACK, _LOGGED = 1, 2
_AGAIN_SECONDS = 0.05
_MOST_BYTES = 2**30
"""Of a database and a log that are copied to see whether they belong together."""
OPENING = threading.Lock()
"""Held while SQLite opens a file and while a header is read.

Closing a descriptor drops every POSIX lock that the process has on the file, also SQLite's
(sqlite.org/howtocorrupt.html): where SQLite has the file open, its own descriptor is read.
"""
_RESUME = (
    "Checkpoints are kept: run the same command again when it is back, and the trials resume. "
    "To copy a database that is in use: hpo db backup -o FILE."
)


class DatabaseFile:
    """The file that the first connection opened; ``check`` is for the moment before each transaction."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._id: FileId | None = None
        self._changes = 0
        self._descriptor: int | None = None
        self._connections: WeakSet[object] = WeakSet()

    def opened(self) -> None:
        """Note the file, once a connection has opened it."""
        self._id = self._id or file_id(self._path)

    def hold(self, connection: object) -> None:
        """Remember an open connection."""
        self._connections.add(connection)

    def may_close(self) -> bool:
        """Return whether connections may be closed; if the file was taken, they stay open in this process.

        The last one to close would write the log into what is at the path now: a backup, for instance.
        """
        try:
            self.check({})
        except DatabaseTakenError:
            for connection in self._connections:
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
            return False
        return True

    def check(self, of_connection: dict[str, Any]) -> None:
        """Raise ``DatabaseTakenError`` unless the file and its log are still those that were opened.

        ``of_connection`` keeps what belongs to one connection: which log it has.
        """
        if self._id is None:
            return
        if file_id(self._path) != self._id:
            raise _taken(self._path, self._id)
        known = of_connection.setdefault("log", {})
        # SQLite makes the two at a connection's first transaction, and keeps them until the last one closes.
        found = {each: file_id(self._path.with_name(f"{self._path.name}-{each}")) for each in ("wal", "shm")}
        if any(found[each] != before for each, before in known.items()):
            raise DatabaseTakenError(
                f"{_names(self._path)} were removed while {self._path} was in use: they belong to it and "
                f"have its newest results. Restore {self._path} from a backup.\n{_RESUME}"
            )
        known.update({each: now for each, now in found.items() if now is not None})
        if self._is_overwritten():
            time.sleep(_AGAIN_SECONDS)  # SQLite may have been writing the header
            if self._is_overwritten():
                raise DatabaseTakenError(
                    f"{self._path} was overwritten while it was in use. Remove {_names(self._path)}, which "
                    f"belong to what it was before, and copy the backup there again.\n{_RESUME}"
                )

    def _is_overwritten(self) -> bool:
        self._descriptor = _descriptor(self._id, self._descriptor)
        header = b"" if self._descriptor is None else os.pread(self._descriptor, _HEADER_BYTES, 0)
        changes = int.from_bytes(header[_CHANGES], "big")
        if self._descriptor is None:
            return False
        if len(header) < _HEADER_BYTES or header[_WRITE_VERSION] != _LOGGED or changes < self._changes:
            return True
        self._changes = changes
        return False


def gone_from(place: str) -> DatabaseTakenError:
    """Return the error for a database at which this process worked and that has none of it any more."""
    restore = "Restore it from a backup"
    if "://" not in place:
        restore += f", and first remove {_names(Path(place))} if they are left of an earlier file"
    return DatabaseTakenError(
        f"{place} was deleted, restored to an earlier state or replaced while it was in use. {restore}.\n"
        f"{_RESUME}"
    )


def file_id(path: Path) -> FileId | None:
    """Return what distinguishes a file from all others; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def log_of(path: Path) -> Path:
    """Return the path of a database's write-ahead log."""
    return path.with_name(f"{path.name}-wal")


def refuse_stray_log(path: Path) -> None:
    """Raise ``StorageError`` if the log beside a database belongs to another: SQLite would mix the two.

    A backup has no log. One beside it is left of the database that it was copied over.
    """
    header = _header(path)
    log = log_of(path)
    with suppress(OSError):
        if header[:16] == _MAGIC and header[_WRITE_VERSION] == _ROLLBACK and log.stat().st_size:
            raise StorageError(
                f"{log.name} beside {path} belongs to an earlier database, over which this one was copied: "
                f"remove {_names(path)}"
            )


def lost_log_hint(path: Path) -> str:
    """Return that a database may lack what its log had, if it was moved or copied while in use; else ""."""
    return (
        f"if {path.name} was moved or copied while it was in use, its newest results are in the file "
        f"{log_of(path).name} beside where it was: move that too. hpo db backup -o FILE copies both as one"
        if _has_no_log(path)
        else ""
    )


def stray_logs(path: Path) -> list[Path]:
    """Return the logs in a database's folder that are of no database there and complete this one.

    Empty if it has its own log. Tried on a copy, since the log of another database would damage it.
    """
    if not _has_no_log(path):
        return []
    return sorted(
        each
        for each in path.parent.glob("*-wal")
        if not each.with_name(each.name.removesuffix("-wal")).exists() and _completes(each, path)
    )


def _completes(log: Path, path: Path) -> bool:
    """Return whether a database with this log is sound, larger by something and without any study less."""
    try:
        if path.stat().st_size + log.stat().st_size > _MOST_BYTES or not log.stat().st_size:
            return False
        with tempfile.TemporaryDirectory(prefix="hpo-log-") as folder:
            alone, both = Path(folder, "alone.db"), Path(folder, "both.db")
            for copy in (alone, both):
                shutil.copyfile(path, copy)
            shutil.copyfile(log, log_of(both))
            before, after = _studies(alone), _studies(both)
    except (OSError, sqlite3.Error):
        return False
    return after is not None and (before or set()) <= after


def _studies(path: Path) -> set[str] | None:
    """Return the ids of the studies in a database; None if it is damaged."""
    with closing(sqlite3.connect(path)) as connection:
        if connection.execute("PRAGMA integrity_check(1)").fetchone() != ("ok",):
            return None
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'hpo_study'").fetchone():
            return set()
        return {row[0] for row in connection.execute("SELECT uid FROM hpo_study")}


def _has_no_log(path: Path) -> bool:
    """Return whether a database has been in use with a log, and none with anything in it is beside it."""
    header = _header(path)
    if header[:16] != _MAGIC or header[_WRITE_VERSION] != _LOGGED:
        return False
    try:
        return log_of(path).stat().st_size == 0
    except OSError:
        return True


def _header(path: Path) -> bytes:
    with OPENING:
        opened = _descriptor(file_id(path), None)
        try:
            if opened is not None:
                return os.pread(opened, _HEADER_BYTES, 0)
            with path.open("rb") as file:
                return file.read(_HEADER_BYTES)
        except OSError:
            return b""


def _descriptor(wanted: FileId | None, known: int | None) -> int | None:
    """Return a descriptor of this process for a file, if it has one; ``known`` was one a moment ago."""
    if known is not None and _is_of(known, wanted):
        return known
    with suppress(OSError):
        numbers = (int(each.name) for each in Path("/dev/fd").iterdir())
        return next((number for number in numbers if _is_of(number, wanted)), None)
    return None


def _is_of(descriptor: int, wanted: FileId | None) -> bool:
    try:
        found = os.fstat(descriptor)
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == wanted


def _taken(path: Path, opened: FileId) -> DatabaseTakenError:
    moved_to = _name_now(opened)
    if file_id(path) is not None:
        what = f"was replaced by another file{f' (it is {moved_to} now)' if moved_to else ''}"
    else:
        what = f"was moved to {moved_to}" if moved_to else "was deleted"
    if moved_to:
        way = f"Move it back. {_names(path)} belong to it and have its newest results: leave them there."
    else:
        way = f"Restore it from a backup, and first remove {_names(path)}, which belonged to it."
    return DatabaseTakenError(f"{path} {what} while it was in use. {way}\n{_RESUME}")


def _name_now(opened: FileId) -> Path | None:
    """Return the path that an open file has now, where the system tells it; None if it has none."""
    descriptor = _descriptor(opened, None)
    with suppress(OSError):
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        return path if file_id(path) == opened else None
    return None


def _names(path: Path) -> str:
    return f"{path.name}-wal and {path.name}-shm"
