"""Atomic file writes: a file is complete or absent, even if processes are killed or write concurrently."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import shutil
import stat
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import BinaryIO, TextIO

from pydantic import BaseModel

from hpo.errors import DataError, UserError
from hpo.testing.faults import fault_point


@contextmanager
def atomic_file(path: Path, *, faults: str = "", first_wins: bool = False) -> Iterator[BinaryIO]:
    """Open a temporary file that replaces ``path`` once everything is written and synced to disk.

    With ``first_wins``, a file that another writer has created in the meantime is kept. ``faults`` is the
    prefix of this write's fault points. Raises ``OSError``.
    """
    temporary = temporary_beside(path)
    try:
        with temporary.open("xb") as file:
            _fault_point(faults, "write")
            yield file
            file.flush()
            _fault_point(faults, "fsync")
            os.fsync(file.fileno())
        _fault_point(faults, "replace")
        if first_wins:
            with suppress(FileExistsError):
                os.link(temporary, path)
        else:
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _fault_point(prefix: str, name: str) -> None:
    if prefix:
        fault_point(f"{prefix}.{name}")


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Create a temporary folder that becomes ``folder`` once everything is written. Raises ``OSError``."""
    temporary = temporary_beside(folder)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        sync_folder(temporary)
        temporary.rename(folder)
        sync_folder(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_file(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file atomically and durably: it survives a power failure. Raises ``OSError``."""
    with atomic_file(path) as file:
        write(file)
    sync_folder(path.parent)


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` with ``write_file``."""
    write_file(path, lambda file: file.write(content))


def write_text(path: Path, text: str) -> None:
    """Write an output file for the user. Raises ``UserError`` if it cannot be written."""
    with replacing(path) as file:
        file.write(text)


@contextmanager
def replacing(path: Path) -> Iterator[TextIO]:
    """Open a text file that replaces ``path`` once everything is written.

    Raises ``UserError`` if the file cannot be written.
    """
    with replacing_bytes(path) as file:
        text = TextIOWrapper(file, encoding="utf-8", newline="")
        try:
            yield text
        finally:
            text.detach()


@contextmanager
def replacing_bytes(path: Path) -> Iterator[BinaryIO]:
    """Do the same as ``replacing`` for bytes. A path like /dev/stdout or a pipe is written to directly."""
    try:
        is_special = path.exists() and not path.is_file()
        with path.open("wb") if is_special else atomic_file(path) as file:
            yield file
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> UserError:
    return UserError(f"cannot write {path}: {error.strerror or error}")


logger = logging.getLogger(__name__)

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_SAMPLES, _SAMPLE_BYTES = 64, 4096


def regular_file(path: Path) -> os.stat_result:
    """Return the status of a file. Raises ``OSError``, and ``DataError`` for a pipe or a device: "
    "it may block."""
    status = path.stat()
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise DataError(f"{path} is not a regular file")
    return status


def is_utf8(path: Path) -> bool:
    """Return whether a path is text in UTF-8; names of files may be any bytes."""
    try:
        os.fsencode(path).decode()
    except UnicodeDecodeError:
        return False
    return True


def path_text(path: Path | str) -> str:
    """Return a path as text that can be stored, with bytes that are not UTF-8 as in ``\\xe9``."""
    return os.fsencode(path).decode(errors="backslashreplace")


class FileMark(BaseModel):
    """The expected size of a file in bytes, and the SHA-256 of sampled blocks."""

    size: int
    sample: str


def file_mark(path: Path) -> FileMark:
    """Return a file's size and sampled checksum: 64 blocks of 4 KiB, evenly spaced from first to last."""
    size = path.stat().st_size
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        for i in range(_SAMPLES):
            handle.seek(max(0, size - _SAMPLE_BYTES) * i // (_SAMPLES - 1))
            digest.update(handle.read(_SAMPLE_BYTES))
    return FileMark(size=size, sample=digest.hexdigest())


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Hold the lock file of ``path``, so that work is not done twice; yield whether it is held.

    The lock only saves work: where files cannot be locked (some network file systems, Windows), it is not
    held, and results stay correct because files are replaced atomically. A killed holder's lock is released.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("wb") as handle:
        logger.debug("waiting for the lock of %s", path)
        yield _flock(handle)


def _flock(handle: BinaryIO) -> bool:
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX)
    except (ImportError, OSError):
        return False
    return True


def temporary_folder(prefix: str) -> Path:
    """Create a new folder for temporary files; raises ``UserError`` that names ``$TMPDIR`` if it cannot."""
    try:
        return Path(tempfile.mkdtemp(prefix=prefix))
    except OSError as error:
        raise UserError(
            f"no temporary files can be written ({error.strerror or error}): "
            "set $TMPDIR to a writable folder with room"
        ) from None


def existing_part(place: Path) -> Path:
    """Return the path, or its nearest ancestor that exists, as far as this user may look."""
    return next(each for each in (place, *place.parents) if os.path.exists(each))  # noqa: PTH110 - may not raise


def is_writable(folder: Path) -> bool:
    """Return whether files can be created in the folder, or in a new one at that path."""
    existing = existing_part(folder)
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)


def temporary_beside(path: Path) -> Path:
    """Return a unique path in the folder of ``path``."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.tmp")


def remove_leftovers(path: Path) -> None:
    """Remove temporary files of killed writers of ``path``; only the holder of its lock may call this."""
    for leftover in path.parent.glob(f".{path.name}.*.tmp"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def mark_used(path: Path) -> None:
    """Set the modification time of a cached file to now, so that `hpo db prune` knows which files are unused.

    Many disks do not record access times. A cache that this user cannot write to is not marked.
    """
    with suppress(OSError):
        os.utime(path)


def sync_folder(folder: Path) -> None:
    """Make a folder's entries survive a power failure, where the system supports it."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def cannot_write(what: str, path: Path, variable: str, error: OSError, needed_bytes: int) -> DataError:
    """Return the error for a failed write: which file, why, the space it needs, and what to change."""
    needed = f"{needed_bytes / 1e6:,.0f} MB"
    if error.errno in _FULL:
        return DataError(
            f"the disk is full ({error.strerror}): {what} needs {needed} at {path}\n"
            f"Free some space, or set {variable} to a folder on another disk."
        )
    return DataError(
        f"cannot write {what} ({needed}) at {path}: {error.strerror or error}\n"
        f"Set {variable} to a writable folder."
    )
