"""Making and upgrading the schema: Optuna's tables, ours beside them, and the views."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, delete, insert, inspect, select, text
from sqlalchemy.exc import DBAPIError

from hpo.results import view_sql
from hpo.results.engine import open_engine, reading, writing
from hpo.results.faults import explain, is_fault
from hpo.results.optuna_storage import make_optuna_tables
from hpo.results.revision import HEAD, VERSION_TABLE, refuse_newer
from hpo.results.tables import SchemaRow

_MIGRATIONS = Path(__file__).parent / "migrations"
# Any constant that no other program uses for its advisory locks: "hpo" in ASCII.
_LOCK = 0x68706F


def upgrade(url: str) -> None:
    """Make every table and view that is missing or old; does nothing, and takes no lock, if all are current.

    Safe in several processes at once. Raises ``StorageError`` for a newer hpo's or another Optuna's database.
    """
    engine = open_engine(url)
    try:
        with reading(engine) as connection:
            if _is_current(connection):
                return
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


def _is_current(connection: Connection) -> bool:
    if not inspect(connection).has_table(VERSION_TABLE):
        return False
    if refuse_newer(connection) != HEAD:
        return False
    made_from = connection.scalar(select(SchemaRow.value).where(SchemaRow.name == "views"))
    return made_from == _fingerprint(connection)


def _fingerprint(connection: Connection) -> str:
    # Optuna's version, so that another Optuna has its schema checked again.
    return f"optuna {version('optuna')}, views {view_sql.fingerprint(connection.dialect.name)}"


@contextmanager
def _one_at_a_time(engine: Engine) -> Iterator[None]:
    """Hold PostgreSQL's lock for upgrades; SQLite's write lock, taken later, is enough there."""
    if engine.dialect.name != "postgresql":
        yield
        return
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        yield


def _make_ours(connection: Connection) -> None:
    if _is_current(connection):
        return
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)
    for statement in view_sql.statements(connection.dialect.name):
        # Without parameters the driver leaves a LIKE pattern's % alone.
        connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
    connection.execute(delete(SchemaRow).where(SchemaRow.name == "views"))
    connection.execute(insert(SchemaRow).values(name="views", value=_fingerprint(connection)))
