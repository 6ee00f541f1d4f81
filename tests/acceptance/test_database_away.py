"""A database that crashes, is cut off or stays locked in the middle of a study: nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from hpo.storage.engine import open_engine, reading
from tests.helpers.hpo_command import Hpo
from tests.helpers.killable_workers import LONG, KillableWorkers, attempts, everything, rows, submit
from tests.helpers.servers import Network, Server

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("same_settings")]
POSTGRES = pytest.mark.postgres
Undisturbed = Callable[[int], dict[str, list[Any]]]


@POSTGRES
def test_postgresql_is_killed_five_times(
    killable: KillableWorkers, server: Server, url: str, undisturbed: Undisturbed
) -> None:
    training = submit(url, "s", 2, **LONG)
    worker = killable.start(url, "s")
    for slot, epoch in ((0, 5), (0, 14), (0, 23), (0, 32), (1, 5)):
        training.wait_for(slot, epoch)
        server.kill()
        training.wait_for(slot, epoch + 6)  # it goes on training
        server.start()
    assert killable.wait(worker) == "exit 0"
    assert everything(url) == undisturbed(2)
    assert (attempts(url, 0), attempts(url, 1)) == (["complete"], ["complete"])


@POSTGRES
def test_a_worker_is_cut_off_for_a_minute(
    killable: KillableWorkers, url: str, network: Network, undisturbed: Undisturbed
) -> None:
    training = submit(url, "s", 1, **LONG)
    worker = killable.start(network.url(url), "s")
    training.wait_for(0, 5)
    network.cut()
    back = threading.Timer(60.0, network.mend)
    back.start()
    training.wait_for(0, 40)
    assert back.is_alive()  # it trained on while it was cut off
    assert rows(url, "SELECT max(epoch) FROM curves") < [(20,)]
    assert killable.wait(worker) == "exit 0"
    assert everything(url) == undisturbed(1)
    assert attempts(url) == ["complete"]


@POSTGRES
def test_worker_cut_off_past_its_lease_loses_its_slot(
    killable: KillableWorkers, url: str, network: Network, undisturbed: Undisturbed
) -> None:
    training = submit(url, "s", 2, **LONG)
    cut_off = killable.start(network.url(url), "s", HPO_LEASE_SECONDS="3")
    training.wait_for(0, 5)
    network.cut_between_transactions(url)
    other = killable.start(url, "s", "trial.begin:2:STOP")
    assert killable.wait(other) == "stopped"  # it has trained slot 1, and claimed slot 0
    network.mend()
    os.kill(other, signal.SIGCONT)
    assert [killable.wait(worker) for worker in (cut_off, other)] == ["exit 0", "exit 0"]
    assert everything(url) == undisturbed(2)
    assert (attempts(url, 0), attempts(url, 1)) == (["lost", "complete"], ["complete"])


@POSTGRES
def test_server_notices_within_a_statement_that_a_worker_is_cut_off(server: Server) -> None:
    engine = open_engine(server.url)
    names = ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count", "tcp_user_timeout")
    with reading(engine) as connection:
        found = [connection.scalar(text(f"SHOW {name}")) for name in names]
    engine.dispose()
    assert found == ["10", "5", "4", "30000"]


@POSTGRES
def test_worker_stopped_while_cut_off_leaves_unsent_rows_to_the_next(
    killable: KillableWorkers, url: str, network: Network, undisturbed: Undisturbed
) -> None:
    training = submit(url, "s", 1, **LONG)
    worker = killable.start(network.url(url), "s", HPO_LEASE_SECONDS="3")
    training.wait_for(0, 5)
    network.cut()
    training.wait_for(0, 25)
    os.kill(worker, signal.SIGTERM)
    assert killable.wait(worker) == "exit 143"
    assert killable.run(url, "s") == "exit 0"
    assert everything(url) == undisturbed(1)
    assert attempts(url) == ["lost", "complete"]  # nobody heard that it gave its slot back


@POSTGRES
@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_ctrl_c_does_not_wait_for_a_database_that_is_away(hpo: Hpo, server: Server, url: str) -> None:
    hpo.environment["HPO_STORAGE"] = url
    study = hpo.write_study(trials=2, epochs=40)
    running = hpo.start("run", study, "--json", "--workers", "1")
    running.wait_for("epoch_done")
    server.kill()
    running.wait_for("database_away")
    running.process.send_signal(signal.SIGINT)
    summary = running.wait_for("summary")
    code, errors = running.end()
    assert (code, summary["interrupted"], summary["finished"], summary["total"]) == (130, True, 0, 2)
    assert "Traceback" not in errors
    server.start()
    resumed = hpo.start("run", study, "--json", "--workers", "1")
    assert resumed.wait_for("trial_started")["resumed"]
    resumed.kill_all()


HOLD = """
import sqlite3, sys, threading
holder = sqlite3.connect(sys.argv[1], isolation_level=None)
holder.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
threading.Event().wait(float(sys.argv[2]))
holder.execute("ROLLBACK")
"""


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_sqlite_locked_longer_than_a_connection_waits_is_retried(
    killable: KillableWorkers, storage_url: str, undisturbed: Undisturbed
) -> None:
    path = storage_url.removeprefix("sqlite:///")
    training = submit(storage_url, "s", 1, **LONG)
    worker = killable.start(storage_url, "s")
    training.wait_for(0, 5)
    with subprocess.Popen([sys.executable, "-c", HOLD, path, "31"], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"locked\n"
        training.wait_for(0, 40)
        assert holder.poll() is None  # it trained on while the file was locked
    assert killable.wait(worker) == "exit 0"
    assert everything(storage_url) == undisturbed(1)
    assert attempts(storage_url) == ["complete"]
