"""A PostgreSQL that refuses for a while: no free connection, transactions not serialized, a full disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url

from tests.helpers.hpo_command import Hpo
from tests.helpers.killable_workers import LONG, KillableWorkers, attempts, everything, rows, submit
from tests.helpers.servers import Server, fill, small_disk_at
from tests.helpers.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.postgres, pytest.mark.usefixtures("same_settings")]
Undisturbed = Callable[[int], dict[str, list[Any]]]
Admin = psycopg.Connection[Any]


@pytest.fixture
def admin(server: Server) -> Iterator[Admin]:
    with psycopg.connect(server.url, autocommit=True) as connection:
        yield connection


def test_no_connection_is_free_for_a_while(
    killable: KillableWorkers, server: Server, url: str, admin: Admin, undisturbed: Undisturbed
) -> None:
    training = submit(url, "s", 1, **LONG)
    admin.execute("CREATE ROLE worker LOGIN IN ROLE postgres")
    as_worker = make_url(url).set(username="worker").render_as_string(hide_password=False)
    worker = killable.start(as_worker, "s")
    training.wait_for(0, 5)
    admin.execute("ALTER ROLE worker CONNECTION LIMIT 0")
    admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'worker'")
    training.wait_for(0, 40)  # it trains on
    assert "too many connections" in server.log()
    assert rows(url, "SELECT max(epoch) FROM curves") < [(20,)]
    admin.execute("ALTER ROLE worker CONNECTION LIMIT -1")
    assert killable.wait(worker) == "exit 0"
    assert everything(url) == undisturbed(1)
    assert attempts(url) == ["complete"]


def test_transactions_that_cannot_be_serialized_are_run_again(
    killable: KillableWorkers, server: Server, url: str, admin: Admin, undisturbed: Undisturbed
) -> None:
    """Under the strictest isolation, another's change of what a transaction waits for makes it fail."""
    training = submit(url, "s", 1, **LONG)
    admin.execute("ALTER DATABASE postgres SET default_transaction_isolation = 'serializable'")
    try:
        worker = killable.start(url, "s")
        for epoch in (3, 10, 20):
            training.wait_for(0, epoch)
            with psycopg.connect(url) as other:
                other.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
                other.execute("UPDATE hpo_slot SET worker = worker")
                wait_until(lambda: _is_blocked(admin), "a blocked worker")
        assert killable.wait(worker) == "exit 0"
    finally:
        admin.execute("ALTER DATABASE postgres RESET default_transaction_isolation")
    assert server.log().count("could not serialize access due to concurrent update") >= 3
    assert everything(url) == undisturbed(1)
    assert attempts(url) == ["complete"]


def _is_blocked(admin: Admin) -> bool:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    row = admin.execute(waiting).fetchone()
    return row is not None and row[0] > 0


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_a_full_disk_is_reported_and_the_study_continues_when_there_is_room(
    hpo: Hpo, server: Server, admin: Admin
) -> None:
    study = hpo.write_study(trials=2)
    calm = hpo("run", study)
    assert calm.returncode == 0, calm.stderr
    results = "select slot, state, value, weights_hash from results order by slot"
    expected = hpo.rows(results)
    with small_disk_at(server.folder / "small", "64m", server.owner) as disk:
        admin.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
        admin.execute("CREATE DATABASE small TABLESPACE small")
        hpo.environment["HPO_STORAGE"] = server.url.removesuffix("postgres") + "small"
        assert hpo("db", "upgrade").returncode == 0
        filler = fill(disk)
        done = hpo("run", study)
        assert done.returncode == 1
        assert "no space left on its disk: free some, then run the same command again" in done.stderr
        assert "Traceback" not in done.stderr
        filler.unlink()
        again = hpo("run", study)
        assert again.returncode == 0, again.stderr
        assert hpo.rows(results) == expected
        admin.execute("DROP DATABASE small")
        admin.execute("DROP TABLESPACE small")
