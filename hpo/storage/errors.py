"""What a database's errors mean: which ones pass by themselves, and what to tell a person."""

from __future__ import annotations

import shutil
from pathlib import Path

import psycopg
from sqlalchemy.engine import URL
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError

from hpo.errors import StorageError
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

_SQLITE: tuple[tuple[str, str], ...] = (
    ("file is not a database", "{path} is not an SQLite database: name another file with --storage"),
    ("malformed", "{path} is damaged: restore it from a backup, or begin a new one with --storage"),
    ("readonly database", "{path} cannot be written: allow it (chmod u+w), or use another --storage"),
    ("database is locked", "{path} stays locked by another process: end that process, then try again"),
    ("disk is full", "no space left for {path}: make room, then run the same command again"),
    ("disk I/O error", "the disk failed while {path} was read or written: see the system log"),
)
_POSTGRESQL: tuple[tuple[str, str], ...] = (
    ("password authentication failed", "the user or the password is wrong"),
    ("no password supplied", "it wants a password: postgresql://USER:PASSWORD@HOST/DATABASE, or PGPASSWORD"),
    ("Connection refused", "nothing listens there: is PostgreSQL running, and are host and port right?"),
    (
        "timeout",
        "no answer within the time limit: are host and port right, and does a firewall stand between?",
    ),
    ("resolve host", "no such host"),
    ("not permitted to log in", "this role may not log in: make a user in it, or see hpo db roles --login"),
    ("FATAL:  role", "the server has no such user: name another one, or make it (createuser)"),
    ("FATAL:  database", "create it first (createdb), or name another one"),
    ("depend on it", "your own views stand on hpo's: drop them, open it with hpo, and make them again"),
    ("too many clients", "all its connections are taken: run fewer workers or raise max_connections"),
    ("slots are reserved", "all its connections are taken: run fewer workers or raise max_connections"),
    ("No space left on device", "no space left on its disk: make room, then run the same command again"),
    ("to create role", "the user may not make roles: let an administrator run what `hpo db roles` prints"),
    (
        "permission denied for schema",
        "the user lacks the right: it must own the schema or be granted CREATE on it",
    ),
    ("must be owner", "only the owner of hpo's tables may do this: let it run `hpo db upgrade`"),
    ("permission denied", "its user may not do this: `hpo db roles` has who may read, work and submit"),
)


def is_fault(error: DBAPIError) -> bool:
    """Whether the database failed, and not a statement of ours: a bug keeps its name and its traceback."""
    ours = isinstance(error, IntegrityError | DataError | ProgrammingError)
    return not ours or _state(error) == _NO_PRIVILEGE


def is_transient(error: DBAPIError) -> bool:
    """Whether the same transaction may well succeed when it is simply run again."""
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
    """A driver's or SQLAlchemy's error in a line or two that say what to do, without a password in them."""
    message = str(error.orig if isinstance(error, DBAPIError) else error)
    for secret in passwords(url):
        message = message.replace(secret, "***")
    tell = _sqlite_text if url.drivername == "sqlite" else _postgresql_text
    return StorageError(tell(url, message), passes=isinstance(error, DBAPIError) and is_transient(error))


def _state(error: DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""


def _sqlite_text(url: URL, message: str) -> str:
    path = Path(str(url.database))
    if path.is_dir():  # SQLite takes it for a disk that fails
        return _unopenable(path)
    if "disk I/O error" in message and _is_full(path.parent):  # what SQLite says when it lacks even 32 KiB
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
    return f"cannot open {path}: allow writing to it and to its folder, or use another --storage"


def _postgresql_text(url: URL, message: str) -> str:
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    reason = lines[0] if lines else "no reason given"
    for sign, hint in _POSTGRESQL:
        if sign in message:
            return f"cannot use {place(url)}: {hint}\n({reason})"
    return f"cannot use {place(url)}: {reason}"
