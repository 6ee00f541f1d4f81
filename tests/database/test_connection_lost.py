"""A connection that dies anywhere in a transaction, or with its commit's answer: all is done, and once."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, event, func, select

from hpo.queue.leases import claim, renew
from hpo.records import Finding, LayerStatistics, Outcome
from hpo.storage.tables import EPOCHS, FINDINGS, LAYERS, AttemptRow, SlotRow, StatisticsRow, TrialRow
from tests.database.conftest import Bench

FINDING = Finding("spikes", "note", math.nan, math.nan, "m", step=3, epoch=1)
LAYER = LayerStatistics("conv", step=3, epoch=1, position=0)
TRANSACTIONS = 11
Run = Callable[[Callable[[], Any]], Any]


def _life(bench: Bench, study_id: int, run: Run) -> None:
    """A trial's life, each transaction through ``run``."""
    store = bench.store
    lease = run(lambda: claim(store, study_id, "host:1:0.00", 60.0))
    trial_id, _ = run(lambda: bench.begin(lease))
    run(lambda: store.begin_attempt(lease, trial_id, device="cpu", from_epoch=0))
    run(lambda: store.deaths_in_a_row(trial_id))
    run(lambda: store.rewind(lease, trial_id, epoch=0, step=-1))
    run(lambda: store.record_statistics(lease, trial_id, "f" * 64, b"state"))
    run(lambda: store.record_epoch(lease, trial_id, bench.record(1)))
    run(lambda: store.record_findings(lease, trial_id, [FINDING]))
    run(lambda: store.record_layers(lease, trial_id, [LAYER]))
    run(lambda: renew(store, lease))
    run(lambda: store.finish_trial(lease, trial_id, Outcome("complete", value=0.5)))


def _expect_each_once(bench: Bench, studies: list[str]) -> None:
    """One of everything for each study, which has one slot."""
    ours: list[Any] = [SlotRow, TrialRow, AttemptRow, EPOCHS, FINDINGS, LAYERS, StatisticsRow]
    with bench.store.engine.connect() as connection:
        counts = {table: connection.scalar(select(func.count()).select_from(table)) for table in ours}
    assert counts == dict.fromkeys(ours, len(studies))
    assert {(slot.state, slot.token, slot.epoch) for slot in bench.rows(SlotRow)} == {("done", 1, 1)}
    attempts = bench.rows(AttemptRow)
    assert {(one.attempt, one.outcome, one.to_epoch) for one in attempts} == {(1, "complete", 1)}
    for name in studies:
        (trial,) = bench.optuna_trials(name)
        assert (trial.number, trial.state.name, trial.value) == (0, "COMPLETE", 0.5)
        assert trial.intermediate_values == {1: 0.5}


@contextmanager
def _dies_before(engine: Engine, admin: psycopg.Connection[Any], statement: int) -> Iterator[None]:
    """The server ends this engine's connection just before its next statement but so many."""
    seen = 0

    def count(connection: Any, *_: Any) -> None:
        nonlocal seen
        if seen == statement:
            pid = connection.connection.dbapi_connection.info.backend_pid
            admin.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        seen += 1

    event.listen(engine, "before_cursor_execute", count)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", count)


@pytest.mark.slow
@pytest.mark.parametrize(
    "storage_url", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True
)
def test_the_server_ends_the_connection_before_any_statement(bench: Bench, postgres_server: str) -> None:
    engine, studies = bench.store.engine, []
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        for statement in range(MOST_STATEMENTS):
            studies.append(f"study-{statement}")
            study_id = bench.register(studies[-1], trials=1)

            def dying(step: Callable[[], Any], statement: int = statement) -> Any:
                with _dies_before(engine, admin, statement):
                    return step()

            _life(bench, study_id, dying)
    _expect_each_once(bench, studies)


MOST_STATEMENTS = 24
"""The longest transaction, the beginning of a trial, has fewer."""


@pytest.mark.parametrize("which", range(TRANSACTIONS))
def test_the_answer_to_a_commit_is_lost(bench: Bench, monkeypatch: pytest.MonkeyPatch, which: int) -> None:
    study_id = bench.register(trials=1)
    dialect = bench.store.engine.dialect
    commit = dialect.do_commit
    commits: list[Any] = []
    passed = iter(range(TRANSACTIONS))

    def lose_the_answer(connection: Any) -> None:
        commit(connection)
        commits.append(connection)
        if len(commits) > 1:
            return
        if dialect.name == "sqlite":
            raise sqlite3.OperationalError("database is locked")
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    def run(step: Callable[[], Any]) -> Any:
        with monkeypatch.context() as patch:
            if next(passed) == which:
                patch.setattr(dialect, "do_commit", lose_the_answer)
            return step()

    _life(bench, study_id, run)
    assert bool(commits) == (which != 3)  # which only reads
    _expect_each_once(bench, ["first"])
