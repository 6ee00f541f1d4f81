"""A consistent copy of an SQLite database while workers keep writing."""

from __future__ import annotations

import os
import shlex
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import URL

from hpo.errors import StorageError, UserError
from hpo.files import sync_folder, temporary_beside
from hpo.storage.engine import connect_read_only
from hpo.storage.errors import explain
from hpo.storage.url import parse_url, place

PAGES = 1024
"""Pages (of 4 KiB) between two progress reports."""
_MAGIC = b"SQLite format 3\x00"

BackupProgress = Callable[[int, int], None]
"""Called with the pages done and the pages in all."""


@dataclass(frozen=True)
class Backup:
    """A finished copy."""

    path: Path
    bytes: int


def back_up(url: str, target: Path, progress: BackupProgress) -> Backup:
    """Copy the database to ``target``, which appears (or is replaced) when the copy is complete and checked.

    Raises ``UserError`` for PostgreSQL, with the command to use there, and for a target that is not a backup;
    ``StorageError`` if the copy is damaged.
    """
    parsed = parse_url(url)
    if parsed.drivername != "sqlite":
        raise UserError(_with_pg_dump(parsed, target))
    _refuse_target(Path(str(parsed.database)), target)
    temporary = temporary_beside(target)
    try:
        _copy(parsed, temporary, progress)
        _check(temporary)
        size = temporary.stat().st_size
        temporary.replace(target)
        sync_folder(target.parent)
        return Backup(target, size)
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror or error}") from None
    finally:
        for suffix in ("", "-journal", "-wal", "-shm"):
            Path(f"{temporary}{suffix}").unlink(missing_ok=True)


def _with_pg_dump(url: URL, target: Path) -> str:
    location = place(url._replace(password=None))
    command = shlex.join(["pg_dump", "--format=custom", f"--file={target}", location])
    back = shlex.join(["pg_restore", "--clean", "--if-exists", f"--dbname={location}", str(target)])
    return (
        "PostgreSQL has its own tool for this, which asks for the password or takes it from PGPASSWORD:\n"
        f"  {command}\nand back:\n  {back}"
    )


def _refuse_target(source: Path, target: Path) -> None:
    if not target.exists():
        return
    if target.is_dir():
        raise UserError(f"{target} is a folder: choose a file")
    if source.exists() and target.samefile(source):
        raise UserError(f"{target} is the database itself: choose another file")
    with target.open("rb") as file:
        if target.stat().st_size and file.read(len(_MAGIC)) != _MAGIC:
            raise UserError(f"{target} exists and is not an earlier backup: choose another file")


def _copy(url: URL, target: Path, progress: BackupProgress) -> None:
    with closing(connect_read_only(url)) as source:
        try:
            # Fixes the snapshot: otherwise a copy in steps would restart at each write of a worker.
            source.execute("BEGIN")
            source.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.Error as error:
            raise explain(url, error) from error
        try:
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            with closing(sqlite3.connect(target)) as copy:
                source.backup(
                    copy, pages=PAGES, progress=lambda _, left, total: progress(total - left, total)
                )
                # A single file without a log beside it; hpo switches it back when it writes to it.
                copy.execute("PRAGMA journal_mode=DELETE")
        except sqlite3.Error as error:
            raise explain(url.set(database=str(target)), error) from error
    with target.open("rb") as file:
        os.fsync(file.fileno())


def _check(copy: Path) -> None:
    with closing(sqlite3.connect(copy)) as connection:
        report = [row[0] for row in connection.execute("PRAGMA integrity_check(3)")]
    if report != ["ok"]:
        raise StorageError(
            f"the copy is damaged and was discarded ({report[0]}): `hpo db check` checks the database"
        )
