"""Databases that earlier versions made, opened with today's code."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import psycopg
import pytest
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy import CheckConstraint, Engine, NullPool, create_engine, inspect, text

from hpo.errors import StorageError
from hpo.queries.study import list_studies
from hpo.queries.trial import trial_detail
from hpo.queue.leases import claim
from hpo.records import Outcome
from hpo.storage import schema
from hpo.storage.engine import open_reader
from hpo.storage.revision import HEAD
from hpo.storage.store import ResultsStore
from hpo.storage.studies import find_registered, results_engine
from hpo.storage.tables import Base
from hpo.storage.url import parse_url

ASSETS = Path(__file__).parents[1] / "upgrade_assets"
VERSIONS = sorted({path.name.split(".")[0] for path in ASSETS.glob("v*.sqlite.gz")})


@pytest.fixture(params=VERSIONS)
def old_url(request: pytest.FixtureRequest, empty_storage_url: str) -> str:
    """A database that an earlier hpo filled."""
    url = parse_url(empty_storage_url)
    if url.drivername == "sqlite":
        Path(str(url.database)).write_bytes(
            gzip.decompress((ASSETS / f"{request.param}.sqlite.gz").read_bytes())
        )
    else:
        dump = (ASSETS / f"{request.param}.postgresql.sql").read_text()
        with psycopg.connect(empty_storage_url, autocommit=True) as connection:
            connection.execute(dump.encode())
    return empty_storage_url


@pytest.fixture
def engine(old_url: str) -> Iterator[Engine]:
    engine = create_engine(parse_url(old_url), poolclass=NullPool)
    yield engine
    engine.dispose()


Rows = dict[str, list[dict[str, Any]]]


def contents(engine: Engine, like: Rows | None = None) -> Rows:
    """Every row of every table; ``like`` an earlier answer, only its tables and columns."""
    found = inspect(engine)
    tables = like or {name: [] for name in found.get_table_names() if name not in CHANGED_BY_AN_UPGRADE}
    rows: Rows = {}
    for table in tables:
        columns = (
            list(like[table][0]) if like and like[table] else [c["name"] for c in found.get_columns(table)]
        )
        key = ", ".join(found.get_pk_constraint(table)["constrained_columns"]) or "1"
        with engine.connect() as connection:
            listed = connection.execute(text(f"SELECT {', '.join(columns)} FROM {table} ORDER BY {key}"))
            rows[table] = [dict(row._mapping) for row in listed]
    return rows


CHANGED_BY_AN_UPGRADE = ("hpo_schema", "hpo_alembic_version")


def test_an_upgrade_keeps_every_value_of_every_table(old_url: str, engine: Engine) -> None:
    before = contents(engine)
    assert {"hpo_study", "hpo_trial", "hpo_epoch", "trials", "trial_params"} <= {
        t for t in before if before[t]
    }
    schema.upgrade(old_url)
    assert contents(engine, like=before) == before
    state = schema.inspect_schema(old_url)
    assert (state.revision, state.current) == (HEAD, True)


def test_an_upgrade_keeps_every_index_and_constraint(old_url: str, engine: Engine) -> None:
    schema.upgrade(old_url)
    found = inspect(engine)
    for table in Base.metadata.sorted_tables:
        assert {each["name"] for each in found.get_indexes(table.name)} >= {
            index.name for index in table.indexes
        }, table.name
        assert {each["name"] for each in found.get_check_constraints(table.name)} == {
            each.name for each in table.constraints if isinstance(each, CheckConstraint)
        }, table.name


def test_what_an_old_study_holds_is_read_as_it_was_written(old_url: str) -> None:
    schema.upgrade(old_url)
    results = results_engine(old_url)
    (study,) = list_studies(results)
    registered = find_registered(results, "everything")
    assert registered is not None and not registered.given_validation and not registered.val_class_counts
    with results.connect() as connection:
        assert connection.scalar(text("SELECT validation FROM hpo_study")) == "drawn"
    counts = (study.complete, study.pruned, study.failed, study.running, study.waiting)
    assert (study.name, counts, study.best_value) == ("everything", (2, 1, 1, 1, 3), 0.7)
    trial = trial_detail(results, "everything", 0)
    assert (trial.value, trial.best_epoch, trial.configuration["lr"]) == (0.7, 2, 1e-05 * 21)
    assert [epoch.val_accuracy for epoch in trial.curve] == [0.3, 0.7, 0.6]
    assert [attempt.outcome for attempt in trial_detail(results, "everything", 4).attempts] == ["lost", None]
    assert "漢字" in str(trial_detail(results, "everything", 3).error)
    results.dispose()
    location = parse_url(old_url).render_as_string(hide_password=False)
    storage = RDBStorage(location, engine_kwargs={"poolclass": NullPool})
    trials = optuna.load_study(study_name="everything", storage=storage).trials
    assert [trial.state.name for trial in trials[:4]] == ["COMPLETE", "COMPLETE", "PRUNED", "FAIL"]
    assert [trial.state for trial in trials[4:]] == [TrialState.RUNNING] * 2


def test_an_old_study_continues(old_url: str) -> None:
    with ResultsStore(old_url) as store:
        lease = claim(store, 1, "host:2:0.00", 60.0)
        # The slot that was running, whose lease has long run out.
        assert lease is not None and (lease.slot, lease.epoch) == (4, 1)
        assert lease.trial_id is not None
        store.begin_attempt(lease, lease.trial_id, device="cpu", from_epoch=0)
        store.finish_trial(lease, lease.trial_id, Outcome("complete", value=0.9))
        results = results_engine(old_url)
        assert [attempt.outcome for attempt in trial_detail(results, "everything", 4).attempts] == [
            "lost",
            "lost",
            "complete",
        ]
        results.dispose()


def test_commands_that_read_change_nothing_in_an_old_database(old_url: str, engine: Engine) -> None:
    before = contents(engine)
    views = set(inspect(engine).get_view_names())
    with pytest.raises(StorageError, match=r"an older hpo created .*schema 0001.*`hpo db upgrade`"):
        results_engine(old_url)
    reader = open_reader(old_url)
    with reader.connect() as connection:
        assert connection.scalar(text("SELECT max(value) FROM results")) == 0.7
    reader.dispose()
    assert contents(engine) == before
    assert set(inspect(engine).get_view_names()) == views
