"""`hpo query` as a process: Ctrl-C ends it, and a large result needs no more memory than a small one."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
from pathlib import Path

import psutil
import psycopg
import pytest
from pyarrow import parquet

from tests.helpers.hpo_command import COMMAND, Hpo
from tests.helpers.waiting import wait_until

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
FEW, MANY = 100_000, 1_000_000
TEXT = "a text as long as a verdict is, so that a million of them are some hundred megabytes in memory"


def start(hpo: Hpo, *arguments: str) -> subprocess.Popen[str]:
    command = [*COMMAND, "query", *arguments]
    return subprocess.Popen(
        command,
        cwd=hpo.folder,
        env=hpo.environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A shell that runs the tests in the background ignores Ctrl-C, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def is_at_work(hpo: Hpo, process: subprocess.Popen[str], mark: str) -> bool:
    """Return whether the query runs: as the server reports, or for SQLite once the file is open."""
    assert process.poll() is None, process.communicate()
    url = hpo.environment["HPO_STORAGE"]
    if url.startswith("sqlite"):
        path = url.removeprefix("sqlite:///")
        return path in {each.path for each in psutil.Process(process.pid).open_files()}
    return active(url, mark) == 1


def active(url: str, mark: str) -> int:
    """Return the number of other sessions on the server that run a statement with that text."""
    sql = """
        SELECT count(*)
        FROM pg_stat_activity
        WHERE state = 'active' AND query LIKE %s AND pid <> pg_backend_pid()
    """
    with psycopg.connect(url) as connection:
        (found,) = connection.execute(sql, [f"%{mark}%"]).fetchone() or (0,)
    return int(found)


@pytest.mark.parametrize("sql", [ENDLESS, "SELECT pg_sleep(200)"], ids=["computing", "sleeping"])
def test_query_ctrl_c_ends_it_on_the_server_too(hpo: Hpo, sql: str) -> None:
    url = hpo.environment["HPO_STORAGE"]
    if "pg_sleep" in sql and url.startswith("sqlite"):
        pytest.skip("SQLite has no such function")
    mark = "stopped by hand"
    process = start(hpo, f"{sql} -- {mark}", "--timeout", "200", "-o", "out.csv")
    wait_until(lambda: is_at_work(hpo, process, mark), "the start of the query")
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert output == ""
    assert "Traceback" not in errors
    assert not list(hpo.folder.glob("*out.csv*"))
    if not url.startswith("sqlite"):
        assert active(url, mark) == 0


def peak_memory(hpo: Hpo, rows: int, path: Path) -> int:
    """Return the peak memory in bytes of a process that writes this number of rows."""
    sql = (
        f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) "
        f"SELECT i, '{TEXT} ' || CAST(i AS TEXT) AS t FROM n"
    )
    process = start(hpo, sql, "--timeout", "280", "-o", str(path))
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    return usage.ru_maxrss * 1024


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["csv", "json", "md", "parquet"])
def test_query_million_rows_need_constant_memory(hpo: Hpo, suffix: str) -> None:
    few = peak_memory(hpo, FEW, hpo.folder / f"few.{suffix}")
    path = hpo.folder / f"many.{suffix}"
    many = peak_memory(hpo, MANY, path)
    # As Python objects the other rows are 200 MB.
    assert many - few < 30 * 2**20, f"{few / 2**20:.0f} MiB and {many / 2**20:.0f} MiB"
    assert last_row(path) == [str(MANY), f"{TEXT} {MANY}"]


def last_row(path: Path) -> list[str]:
    """Return the last row of a file, after reading all of it."""
    if path.suffix == ".parquet":
        table = parquet.read_table(path)
        assert table.num_rows == MANY
        return [str(table[name][-1].as_py()) for name in ("i", "t")]
    text = path.read_text()
    if path.suffix == ".json":
        rows = json.loads(text)
        assert len(rows) == MANY
        return [str(value) for value in rows[-1].values()]
    lines = text.splitlines()
    if path.suffix == ".csv":
        assert len(lines) == MANY + 1
        return next(csv.reader(lines[-1:]))
    assert len(lines) == MANY + 2
    return [cell.strip() for cell in lines[-1].strip("|").split("|")]
