"""An upgrade killed with SIGKILL at any statement leaves the database as it was, and the next one ends it."""

from __future__ import annotations

import gzip
import os
import signal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, NullPool, create_engine, event, inspect, text

from hpo.storage import schema, views
from hpo.storage.url import parse_url

ASSETS = Path(__file__).parents[1] / "upgrade_assets"


def killed_after(url: str, last: str) -> bool:
    """Upgrade in a child that kills itself after a statement with these words; whether it came so far."""
    child = os.fork()
    if child == 0:

        @event.listens_for(Engine, "after_cursor_execute")
        def _die(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if last in " ".join(statement.split()):
                os.kill(os.getpid(), signal.SIGKILL)

        schema.upgrade(url)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def dump(url: str) -> dict[str, list[str]]:
    engine = create_engine(parse_url(url), poolclass=NullPool)
    with engine.connect() as connection:
        found = inspect(connection)
        names = sorted([*found.get_table_names(), *found.get_view_names()])
        rows = {
            name: [str(tuple(row)) for row in connection.execute(text(f"SELECT * FROM {name}"))]
            for name in names
        }
    engine.dispose()
    return rows


@pytest.fixture
def old(empty_storage_url: str) -> str:
    """A database of the first schema."""
    url = parse_url(empty_storage_url)
    if url.drivername == "sqlite":
        Path(str(url.database)).write_bytes(gzip.decompress((ASSETS / "v0001.sqlite.gz").read_bytes()))
    else:
        with psycopg.connect(empty_storage_url, autocommit=True) as connection:
            connection.execute((ASSETS / "v0001.postgresql.sql").read_bytes())
    return empty_storage_url


def test_an_old_database_is_as_it_was_after_each_kill(old: str) -> None:
    before = dump(old)
    for last in (
        "ALTER TABLE hpo_trial ADD COLUMN second_cause",
        "UPDATE hpo_alembic_version SET version_num='0003'",
        "DROP VIEW IF EXISTS results",
        "CREATE VIEW results",
        "INSERT INTO hpo_schema",  # only the commit is missing
    ):
        assert killed_after(old, last)
        assert dump(old) == before
        assert schema.inspect_schema(old).revision == "0001"
    assert not killed_after(old, "no statement has this")
    assert schema.inspect_schema(old).current
    assert set(views.VIEWS) < set(dump(old))


def test_a_new_database_is_finished_by_the_next_command(empty_storage_url: str) -> None:
    """Optuna makes its tables in transactions of its own: they may be there without ours."""
    for last in (
        "CREATE TABLE trials",
        "INSERT INTO alembic_version",
        "CREATE TABLE hpo_trial",
        "INSERT INTO hpo_schema",
    ):
        assert killed_after(empty_storage_url, last)
        assert not schema.inspect_schema(empty_storage_url).current
    schema.upgrade(empty_storage_url)
    assert schema.inspect_schema(empty_storage_url).current


def test_processes_that_upgrade_at_once_do_it_once(old: str) -> None:
    before = dump(old)
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            schema.upgrade(old)
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * len(children)
    assert schema.inspect_schema(old).current
    after = dump(old)
    for table in ("trials", "trial_params", "hpo_epoch", "hpo_slot", "hpo_finding"):
        # Newer columns stand behind the old ones.
        cut = [now[: len(then) - 1] for now, then in zip(after[table], before[table], strict=True)]
        assert cut == [then.removesuffix(")") for then in before[table]]
