"""Creating and upgrading the schema: Optuna's tables, hpo's beside them, and the views."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, delete, func, insert, inspect, select, text
from sqlalchemy.exc import DBAPIError

from hpo.errors import UserError
from hpo.storage import roles, views
from hpo.storage.engine import create_file, open_engine, open_reader, reading, writing
from hpo.storage.errors import explain, is_fault
from hpo.storage.optuna.storage import make_optuna_tables
from hpo.storage.presence import gone_from
from hpo.storage.revision import HEAD, VERSION_TABLE, refuse_newer
from hpo.storage.tables import STUDIES, SchemaRow
from hpo.storage.url import has_file, parse_url, place

_MIGRATIONS = Path(__file__).parent / "migrations"
# Any constant that no other program uses for its advisory locks: "hpo" in ASCII.
_LOCK = 0x68706F


@dataclass(frozen=True)
class SchemaState:
    """What a database has of the schema. ``revision`` is None where hpo has no tables."""

    revision: str | None
    current: bool
    """Whether all tables and views are up to date."""
    optuna_studies: int
    """Studies in Optuna's tables; 0 where there are none."""

    @property
    def is_optunas_alone(self) -> bool:
        """Whether the database contains Optuna's studies but none of hpo's tables."""
        return self.revision is None and self.optuna_studies > 0


def inspect_schema(url: str) -> SchemaState:
    """Return the state of the database's schema; only reads, and creates no file.

    Raises ``StorageError`` if a newer hpo created the database or it is unusable.
    """
    parsed = parse_url(url)
    if parsed.drivername == "sqlite" and not has_file(parsed):
        return SchemaState(None, current=False, optuna_studies=0)
    reader = open_reader(url)
    try:
        with reading(reader) as connection:
            return _state(connection)
    finally:
        reader.dispose()


def upgrade(url: str, *, adopt: bool = False, create: bool = True) -> None:
    """Create or upgrade every table and view; does nothing, without a lock, if all are current.

    Safe in several processes at once; a killed process leaves the schema as it was. Raises ``StorageError``
    for a database of a newer hpo or another Optuna, and for one without hpo's tables unless ``create``;
    ``UserError``, unless ``adopt``, for one that contains only Optuna's studies.
    """
    state = inspect_schema(url)
    if state.current:
        return
    if state.revision is None and not create:
        raise gone_from(place(parse_url(url)))
    if state.is_optunas_alone and not adopt:
        raise UserError(
            f"{place(parse_url(url))} contains Optuna's studies but none of hpo's tables: `hpo db upgrade` "
            "adds them beside Optuna's, which stay as they are; or use another --storage"
        )
    create_file(parse_url(url))
    engine = open_engine(url)
    try:
        with _one_at_a_time(engine):
            make_optuna_tables(url)
            with writing(engine) as connection:
                _make_ours(connection)
    except DBAPIError as error:
        if not is_fault(error):
            raise
        raise explain(engine.url, error) from error
    finally:
        engine.dispose()


def _state(connection: Connection) -> SchemaState:
    tables = inspect(connection)
    studies = (
        connection.scalar(select(func.count()).select_from(STUDIES)) if tables.has_table("studies") else 0
    )
    if not tables.has_table(VERSION_TABLE):
        return SchemaState(None, current=False, optuna_studies=studies or 0)
    return SchemaState(refuse_newer(connection), _is_current(connection), studies or 0)


def _is_current(connection: Connection) -> bool:
    if not inspect(connection).has_table(VERSION_TABLE):
        return False
    if refuse_newer(connection) != HEAD:
        return False
    made_from = connection.scalar(select(SchemaRow.value).where(SchemaRow.name == "views"))
    return made_from == _fingerprint(connection)


def _fingerprint(connection: Connection) -> str:
    # Optuna's version, so that another Optuna has its schema checked again.
    return f"optuna {_optuna_version()}, views {views.fingerprint(connection.dialect.name)}"


@cache
def _optuna_version() -> str:
    return version("optuna")  # 2 ms


@contextmanager
def _one_at_a_time(engine: Engine) -> Iterator[None]:
    """Hold PostgreSQL's advisory lock for upgrades; on SQLite the write lock, taken later, is enough."""
    if engine.dialect.name != "postgresql":
        yield
        return
    with engine.begin() as connection:
        # This connection is idle while others create the tables.
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        yield


def _make_ours(connection: Connection) -> None:
    if _is_current(connection):
        return
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)
    create_views(connection)
    connection.execute(delete(SchemaRow).where(SchemaRow.name == "views"))
    connection.execute(insert(SchemaRow).values(name="views", value=_fingerprint(connection)))


def create_views(connection: Connection) -> None:
    """Recreate every view, and renew the grants on them."""
    for statement in views.statements(connection.dialect.name):
        # Without parameters the driver leaves a LIKE pattern's % alone.
        connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
    roles.renew(connection)
