"""Making, upgrading and refusing databases."""

from __future__ import annotations

import time
from pathlib import Path

import optuna
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from optuna.storages import RDBStorage
from sqlalchemy import Engine, NullPool, create_engine, inspect, text, update

from hpo.errors import StorageError, UserError
from hpo.storage import revision, schema, views
from hpo.storage.engine import open_engine, open_reader, writing
from hpo.storage.migrations import env_filter
from hpo.storage.tables import Base, SchemaRow
from hpo.storage.url import parse_url

TABLES = {
    "study",
    "trial",
    "slot",
    "statistics",
    "attempt",
    "epoch",
    "layer",
    "class",
    "finding",
    "study_finding",
    "stage",
    "decision",
    "candidate",
    "rung",
    "schema",
    "worker",
    "alembic_version",
}


@pytest.fixture
def engine(storage_url: str) -> Engine:
    return create_engine(parse_url(storage_url), poolclass=NullPool)


def test_an_empty_database_gets_optunas_tables_ours_and_the_views(empty_storage_url: str) -> None:
    schema.upgrade(empty_storage_url)
    found = inspect(create_engine(parse_url(empty_storage_url), poolclass=NullPool))
    tables = set(found.get_table_names())
    assert {name.removeprefix("hpo_") for name in tables if name.startswith("hpo_")} == TABLES
    assert {"studies", "trials", "trial_params", "alembic_version"} <= tables
    assert set(found.get_view_names()) == set(views.VIEWS)


def test_the_migrations_make_what_the_models_say(engine: Engine) -> None:
    with engine.connect() as connection:
        options = {"include_object": env_filter.only_ours, "version_table": revision.VERSION_TABLE}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, Base.metadata) == []


def test_the_head_in_the_code_is_the_newest_revision() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [revision.HEAD]


def test_opening_a_current_database_is_fast_and_takes_no_lock(storage_url: str) -> None:
    holder = open_engine(storage_url)
    with writing(holder) as connection:
        # On SQLite this holds the only write lock; on PostgreSQL it locks the row that an upgrade changes.
        connection.execute(text("UPDATE hpo_schema SET value = value"))
        times = []
        for _ in range(5):
            began = time.perf_counter()
            schema.upgrade(storage_url)
            times.append(time.perf_counter() - began)
    holder.dispose()
    assert min(times) < 10, "a lock would be waited for, for 30 s"


def test_views_are_recreated_when_their_text_changed(engine: Engine, storage_url: str) -> None:
    with engine.begin() as connection:
        connection.execute(update(SchemaRow).values(value="of an older hpo"))
        connection.execute(text("DROP VIEW layers"))
    schema.upgrade(storage_url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT * FROM layers")).all() == []


def test_a_newer_hpos_database_is_refused_and_left_alone(engine: Engine, storage_url: str) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE hpo_alembic_version SET version_num = '9999'"))
    with pytest.raises(StorageError, match="a newer hpo created this database"):
        schema.upgrade(storage_url)
    reader = open_reader(storage_url)
    with pytest.raises(StorageError, match="a newer hpo created this database"):
        revision.require(reader)
    reader.dispose()


def test_another_optunas_database_is_refused_with_optunas_advice(engine: Engine, storage_url: str) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'v3.0.0.a'"))
        connection.execute(update(SchemaRow).values(value="checked with an older Optuna"))
    with pytest.raises(StorageError, match="optuna storage upgrade"):
        schema.upgrade(storage_url)


def _contents(reader: Engine) -> dict[str, list[object]]:
    with reader.connect() as connection:
        names = sorted(inspect(connection).get_table_names())
        return {name: list(connection.execute(text(f"SELECT * FROM {name}"))) for name in names}


def test_a_plain_optuna_database_is_read_as_it_is_and_extended_on_demand(empty_storage_url: str) -> None:
    url = parse_url(empty_storage_url)
    plain = RDBStorage(url.render_as_string(hide_password=False), engine_kwargs={"poolclass": NullPool})
    study = optuna.create_study(study_name="theirs", storage=plain)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    reader = open_reader(empty_storage_url)
    before = _contents(reader)
    with pytest.raises(StorageError, match=r"none of hpo's.*hpo db upgrade"):
        revision.require(reader)
    with pytest.raises(UserError, match=r"contains Optuna's studies.*hpo db upgrade"):
        schema.upgrade(empty_storage_url)
    assert _contents(reader) == before
    schema.upgrade(empty_storage_url, adopt=True)
    revision.require(reader)
    with reader.connect() as connection:
        numbers = connection.scalars(text("SELECT number FROM params WHERE study = 'theirs' ORDER BY number"))
        assert numbers.all() == [0, 1, 2]
    reader.dispose()


def test_an_upgrade_that_fails_leaves_nothing_of_it(
    empty_storage_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = ("CREATE VIEW broken AS SELECT * FROM nowhere",) * 2
    monkeypatch.setattr(views, "statements", lambda dialect: broken)
    with pytest.raises(Exception, match=r"nowhere|broken"):
        schema.upgrade(empty_storage_url)
    found = inspect(create_engine(parse_url(empty_storage_url), poolclass=NullPool))
    assert [name for name in found.get_table_names() if name.startswith("hpo_")] == []
    monkeypatch.undo()
    schema.upgrade(empty_storage_url)
