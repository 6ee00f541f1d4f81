"""What database errors mean: which are transient, and what to tell the user."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import psycopg
from sqlalchemy.engine import URL
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError

from hpo.errors import StorageError
from hpo.storage.presence import file_id, gone_from
from hpo.storage.tables import STUDIES, TRIALS, Base
from hpo.storage.url import passwords, place

# serialization failure, deadlock, admin shutdown, crash shutdown, cannot connect now, too many connections
_TRANSIENT_STATES = {"40001", "40P01", "57P01", "57P02", "57P03", "53300"}
_CONNECTION_STATES = "08"
# A connection that could not be made has no state: a server that restarts refuses, or is starting up.
_REFUSED_FOR_GOOD = (
    "password",
    "does not exist",
    "no pg_hba.conf entry",
    "invalid",
    "resolve host",
    "not permitted",
)
_LEAST_BYTES = 2**20
_NO_PRIVILEGE = "42501"
_OURS = "|".join((*Base.metadata.tables, STUDIES.name, TRIALS.name, "hpo_known_trial"))
_NO_TABLE = re.compile(rf'no such table: (?:main\.)?(?:{_OURS})\b|relation "(?:{_OURS})" does not exist')

_SQLITE: tuple[tuple[str, str], ...] = (
    ("file is not a database", "{path} is not an SQLite database: name another file with --storage"),
    ("malformed", "{path} is damaged: restore it from a backup, or start a new one with --storage"),
    ("readonly database", "{path} is not writable: make it so (chmod u+w), or use another --storage"),
    ("database is locked", "{path} stays locked by another process: stop that process, then try again"),
    ("disk is full", "no space left for {path}: free some, then run the same command again"),
    ("disk I/O error", "the disk failed while {path} was read or written: see the system log"),
)
_POSTGRESQL: tuple[tuple[str, str], ...] = (
    ("password authentication failed", "the user or the password is wrong"),
    (
        "no password supplied",
        "it requires a password: postgresql://USER:PASSWORD@HOST/DATABASE, or PGPASSWORD",
    ),
    ("Connection refused", "connection refused: is PostgreSQL running, and are host and port right?"),
    (
        "timeout",
        "no answer within the time limit: are host and port right, or does a firewall block them?",
    ),
    ("resolve host", "no such host"),
    ("not permitted to log in", "this role cannot log in: create a user in it, or see hpo db roles --login"),
    ("FATAL:  role", "the server has no such user: use another one, or create it (createuser)"),
    (
        "FATAL:  database",
        "create it first (createdb), or use another one; if it was dropped, restore it from a backup, and "
        "interrupted trials resume from their checkpoints",
    ),
    (
        "depend on it",
        "views of yours depend on hpo's: drop them, open the database with hpo, and create them again",
    ),
    ("too many clients", "all its connections are taken: run fewer workers or raise max_connections"),
    ("slots are reserved", "all its connections are taken: run fewer workers or raise max_connections"),
    ("No space left on device", "no space left on its disk: free some, then run the same command again"),
    (
        "local user with ID",
        "the URL has no user, and the system has no name for this process's: use postgresql://USER@HOST/NAME",
    ),
    ("to create role", "the user may not create roles: let an administrator run what `hpo db roles` prints"),
    (
        "permission denied for schema",
        "the user lacks the right: it must own the schema or be granted CREATE on it",
    ),
    ("must be owner", "only the owner of hpo's tables may do this: let it run `hpo db upgrade`"),
    ("permission denied", "its user may not do this: see `hpo db roles` for who may read, work and submit"),
)


def is_fault(error: DBAPIError) -> bool:
    """Return whether the database failed, and not one of our statements, whose bugs keep their traceback."""
    ours = isinstance(error, IntegrityError | DataError | ProgrammingError)
    return not ours or _state(error) == _NO_PRIVILEGE or _lacks_tables(str(error.orig))


def is_transient(error: DBAPIError) -> bool:
    """Return whether the same transaction may succeed if it is run again."""
    state = _state(error)
    if isinstance(error.orig, psycopg.OperationalError) and not state:
        return not any(sign in str(error.orig) for sign in _REFUSED_FOR_GOOD)
    return (
        error.connection_invalidated
        or "database is locked" in str(error.orig)
        or state in _TRANSIENT_STATES
        or state.startswith(_CONNECTION_STATES)
    )


def explain(url: URL, error: Exception) -> StorageError:
    """Return a driver's or SQLAlchemy's error as one or two lines that say what to do, without passwords."""
    message = str(error.orig if isinstance(error, DBAPIError) else error)
    for secret in passwords(url):
        message = message.replace(secret, "***")
    if _is_gone(url, message):
        return gone_from(place(url))
    tell = _sqlite_text if url.drivername == "sqlite" else _postgresql_text
    return StorageError(tell(url, message), passes=isinstance(error, DBAPIError) and is_transient(error))


def _is_gone(url: URL, message: str) -> bool:
    """Return whether the database had what is missing now: hpo opens only what it has found or created."""
    if _lacks_tables(message):
        return True
    path = Path(str(url.database))
    missing = (
        url.drivername == "sqlite" and "unable to open database file" in message and file_id(path) is None
    )
    return missing and os.access(path.parent, os.W_OK | os.X_OK)


def _lacks_tables(message: str) -> bool:
    return _NO_TABLE.search(message) is not None


def _state(error: DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""


def _sqlite_text(url: URL, message: str) -> str:
    path = Path(str(url.database))
    if path.is_dir():  # which SQLite reports as a disk failure
        return _unopenable(path)
    if "disk I/O error" in message and _is_full(
        path.parent
    ):  # what SQLite reports when even 32 KiB are missing
        message = "disk is full"
    for sign, text in _SQLITE:
        if sign in message:
            return text.format(path=path)
    if "unable to open database file" in message:
        return _unopenable(path)
    return f"{path}: {message}"


def _is_full(folder: Path) -> bool:
    return folder.is_dir() and shutil.disk_usage(folder).free < _LEAST_BYTES


def _unopenable(path: Path) -> str:
    if not path.parent.is_dir():
        return f"cannot open {path}: there is no folder {path.parent}"
    if path.is_dir():
        return f"cannot open {path}: it is a folder, not a database file"
    return f"cannot open {path}: make it and its folder writable, or use another --storage"


def _postgresql_text(url: URL, message: str) -> str:
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    reason = lines[0] if lines else "no reason given"
    for sign, hint in _POSTGRESQL:
        if sign in message:
            return f"cannot use {place(url)}: {hint}\n({reason})"
    return f"cannot use {place(url)}: {reason}"
