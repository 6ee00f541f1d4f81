"""Storage URLs: which databases are supported, and how messages name them."""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from hpo.errors import StorageError, StorageUrlError
from hpo.files import is_utf8
from hpo.redact import SECRET_OPTIONS, safe_url
from hpo.settings import expanded

_SUPPORTED = "use sqlite:///FILE (such as sqlite:///hpo.db) or postgresql://USER@HOST/DATABASE"
_POSTGRESQL = {"postgresql", "postgres", "postgresql+psycopg", "postgresql+psycopg2"}


def parse_url(text: str) -> URL:
    """Return the URL that SQLAlchemy opens: absolute path for SQLite, psycopg 3 for PostgreSQL.

    Raises ``StorageUrlError`` for another engine and for text that is not a URL.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise StorageUrlError(f"{safe_url(text)!r} is not a storage URL: {_SUPPORTED}") from None
    if url.drivername in ("sqlite", "sqlite+pysqlite"):
        return _sqlite_url(url, text)
    if url.drivername in _POSTGRESQL:
        return _postgresql_url(url)
    raise StorageUrlError(f"{url.drivername} is not supported: {_SUPPORTED}")


def place(url: URL) -> str:
    """Return the database's location for messages: a file's path, or a URL without a password."""
    if url.drivername == "sqlite":
        return str(url.database)
    return safe_url(url.set(drivername="postgresql").render_as_string(hide_password=False))


def passwords(url: URL) -> list[str]:
    """Return every secret in the URL, to remove them from a driver's message."""
    options = [url.query.get(name) for name in SECRET_OPTIONS]
    return [secret for secret in (url.password, *options) if isinstance(secret, str) and secret]


def has_file(url: URL) -> bool:
    """Return whether an SQLite database's file exists; raises ``StorageError`` if this user may not look."""
    path = Path(str(url.database))
    try:
        return path.exists()
    except OSError as error:
        raise StorageError(f"cannot open {path}: {error.strerror}") from None


def _sqlite_url(url: URL, text: str) -> URL:
    if url.host or url.username:
        raise StorageUrlError(
            f"{safe_url(text)} has a host: the URL of a file has three slashes, sqlite:///hpo.db"
        )
    if url.query:
        raise StorageUrlError(f"{text}: options after ? are not supported for SQLite; {_SUPPORTED}")
    if not url.database or url.database == ":memory:":
        raise StorageUrlError("a database in memory cannot be shared with workers: use sqlite:///hpo.db")
    path = expanded(Path(url.database)).absolute()
    if not is_utf8(path):
        raise StorageUrlError(
            f"SQLite needs a path in UTF-8, not {os.fsencode(path)!r}: set HPO_STORAGE to another place"
        )
    return URL.create("sqlite", database=str(path))


def _postgresql_url(url: URL) -> URL:
    if not (url.database or "dbname" in url.query):
        raise StorageUrlError(f"{place(url)} names no database: {_SUPPORTED}")
    if "@" in (url.host or ""):
        raise StorageUrlError(f"{place(url)}: write an @ in the password as %40")
    return url.set(drivername="postgresql+psycopg")
