"""The views find one trial's rows, and a study's trials, by an index on either database."""

from __future__ import annotations

import re
from typing import Any

import pytest
from sqlalchemy import event, text

from hpo.queue.scheduling import open_studies
from tests.database.conftest import Bench, write_known_trials

LOOKUPS = {
    "SELECT * FROM curves WHERE study = 'known' AND number = 3": "hpo_epoch",
    "SELECT * FROM layers WHERE study = 'known' AND number = 3": "hpo_layer",
    "SELECT * FROM findings WHERE study = 'known' AND number = 3": "hpo_finding",
    "SELECT * FROM attempts WHERE study = 'known' AND number = 3": "hpo_attempt",
    "SELECT * FROM results WHERE study = 'known'": "hpo_trial",
    "SELECT * FROM params WHERE study = 'known' AND number = 3": "trial_params",
    "SELECT * FROM results WHERE trial_id = 3": "hpo_trial",
}


def test_what_is_open_is_found_by_the_slots_indexes(bench: Bench) -> None:
    """However many slots studies have: a worker asks before each trial."""
    bench.register("large", trials=500)
    asked = []

    def hear(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        asked.append((statement, parameters))

    event.listen(bench.store.engine, "before_cursor_execute", hear)
    open_studies(bench.store)
    event.remove(bench.store.engine, "before_cursor_execute", hear)
    (sql, parameters), *_ = [each for each in asked if "hpo_slot" in each[0]]
    with bench.store.engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            plan = [row[0] for row in connection.exec_driver_sql(f"EXPLAIN {sql}", parameters)]
        else:
            plan = [row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters)]
    assert "ix_hpo_slot_running" in "\n".join(plan), "\n".join(plan)
    assert "ix_hpo_slot_open" in "\n".join(plan), "\n".join(plan)


@pytest.mark.parametrize("contents", [write_known_trials], ids=["known"])
@pytest.mark.parametrize("sql", LOOKUPS)
def test_a_lookup_reads_no_whole_table(bench: Bench, sql: str) -> None:
    with bench.store.engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            # So small a table is quicker to read whole; the plan shows whether it need be.
            connection.execute(text("SET LOCAL enable_seqscan = off"))
            plan = [row[0] for row in connection.execute(text(f"EXPLAIN {sql}"))]
            whole = re.findall(r"Seq Scan on (\w+)", "\n".join(plan))
        else:
            plan = [row[-1] for row in connection.execute(text(f"EXPLAIN QUERY PLAN {sql}"))]
            aliases = {
                "e": "hpo_epoch",
                "l": "hpo_layer",
                "f": "hpo_finding",
                "a": "hpo_attempt",
                "t": "hpo_trial",
            }
            names = re.findall(r"^SCAN (\w+)", "\n".join(plan), re.MULTILINE)
            whole = [aliases.get(name, name) for name in names]
    assert LOOKUPS[sql] not in whole, "\n".join(plan)
