"""Databases that cannot be used: what a person is told, and that nothing is damaged."""

from __future__ import annotations

import gzip
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from hpo.cli.app import run_command
from hpo.storage import engine as engine_module
from hpo.storage.store import ResultsStore
from tests.helpers.one_of_everything import fill

ASSETS = Path(__file__).parents[1] / "upgrade_assets"
Capture = pytest.CaptureFixture[str]
COMMANDS = [
    ("status",),
    ("db", "check"),
    ("db", "upgrade"),
    ("run", "quickstart"),
    ("export-study", "x", "-o", "x"),
]
READING = COMMANDS[:2]
PASSWORD = "Tr0ub4dor-and-3"


def said(capsys: Capture, url: str, *command: str) -> str:
    """What a command that fails says on stderr: a message, never a traceback or a password."""
    capsys.readouterr()
    assert run_command([*command, "--storage", url]) in (1, 2)
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err and "This should not happen" not in shown.err
    assert PASSWORD not in shown.err + shown.out
    assert shown.err.count("error: ") == 1
    return shown.err


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_that_is_not_a_database(tmp_path: Path, capsys: Capture, command: tuple[str, ...]) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("dear diary, " * 1000)
    before = path.read_bytes()
    assert f"{path} is not an SQLite database" in said(capsys, f"sqlite:///{path}", *command)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder(tmp_path: Path, capsys: Capture, command: tuple[str, ...]) -> None:
    assert "it is a folder, not a database file" in said(capsys, f"sqlite:///{tmp_path}", *command)


@pytest.mark.parametrize("command", READING)
def test_an_empty_file_and_a_missing_one_stay_as_they_are(
    tmp_path: Path, capsys: Capture, command: tuple[str, ...]
) -> None:
    empty = tmp_path / "empty.db"
    empty.touch()
    assert "no study has been run with" in said(capsys, f"sqlite:///{empty}", *command)
    assert empty.stat().st_size == 0
    assert "there is no database" in said(capsys, f"sqlite:///{tmp_path / 'none.db'}", *command)
    assert [each.name for each in tmp_path.iterdir()] == ["empty.db"]


def test_an_empty_file_becomes_a_database_where_one_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    assert run_command(["db", "upgrade", "--storage", f"sqlite:///{tmp_path / 'empty.db'}"]) == 0
    assert run_command(["db", "check", "--storage", f"sqlite:///{tmp_path / 'empty.db'}"]) == 0


def test_a_damaged_file(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "hpo.db"
    whole = gzip.decompress((ASSETS / "v0001.sqlite.gz").read_bytes())
    path.write_bytes(whole[:4096] + b"\xff" * 8192 + whole[12288:])
    assert "is damaged: restore it from a backup" in said(capsys, f"sqlite:///{path}", "db", "upgrade")


def test_a_locked_file(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "BUSY_SECONDS", 0.2)
    path = tmp_path / "hpo.db"
    path.write_bytes(gzip.decompress((ASSETS / "v0001.sqlite.gz").read_bytes()))
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        for command in COMMANDS:
            assert "stays locked by another process" in said(capsys, f"sqlite:///{path}", *command)
        holder.execute("ROLLBACK")
    assert run_command(["db", "upgrade", "--storage", f"sqlite:///{path}"]) == 0


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that another user may read and not write."""
    folder = Path(tempfile.mkdtemp(prefix="hpo-public-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def _as_nobody(*command: str) -> tuple[int, str]:
    """Run a command in a process that root's rights do not help; exit code and stderr."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        sys.stderr = os.fdopen(writing, "w")
        if os.getuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        code = run_command(command)
        sys.stderr.flush()
        os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as stream:
        text = stream.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text


def test_a_file_that_may_only_be_read(public: Path) -> None:
    url = f"sqlite:///{public / 'hpo.db'}"
    with ResultsStore(url) as store:
        fill(store)
    (public / "hpo.db").chmod(0o444)
    before = (public / "hpo.db").read_bytes()
    assert _as_nobody("status", "--storage", url) == (0, "")
    assert _as_nobody("db", "check", "--storage", url) == (0, "")
    code, text = _as_nobody("db", "check", "--repair", "--storage", url)
    assert code == 1
    assert f"{public / 'hpo.db'} is not writable: make it so (chmod u+w)" in text
    assert (public / "hpo.db").read_bytes() == before


def test_an_old_file_that_may_only_be_read(public: Path) -> None:
    (public / "hpo.db").write_bytes(gzip.decompress((ASSETS / "v0001.sqlite.gz").read_bytes()))
    (public / "hpo.db").chmod(0o444)
    before = (public / "hpo.db").read_bytes()
    code, text = _as_nobody("db", "upgrade", "--storage", f"sqlite:///{public / 'hpo.db'}")
    assert code == 1
    assert "is not writable: make it so (chmod u+w)" in text and "Traceback" not in text
    assert (public / "hpo.db").read_bytes() == before


@pytest.fixture(scope="module")
def guarded(postgres_server: str) -> Iterator[str]:
    """A URL of the server as a user who has a password and no right to make tables."""
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        row = connection.execute("SHOW hba_file").fetchone()
        assert row is not None
        rules = Path(row[0])
        if not os.access(rules, os.W_OK):
            pytest.skip("the server's rules for passwords cannot be changed from here")
        before = rules.read_text()
        lines = "local all hpo_guarded scram-sha-256\nhost all hpo_guarded all scram-sha-256\n"
        rules.write_text(lines + before)
        connection.execute(f"CREATE ROLE hpo_guarded LOGIN PASSWORD '{PASSWORD}'")
        connection.execute("SELECT pg_reload_conf()")
        guarded = make_url(postgres_server).set(username="hpo_guarded", password="wrong")
        _wait_until_refused(guarded.render_as_string(hide_password=False))
        yield guarded.set(password=PASSWORD).render_as_string(hide_password=False)
        rules.write_text(before)
        connection.execute("DROP ROLE hpo_guarded")
        connection.execute("SELECT pg_reload_conf()")


def _wait_until_refused(url: str) -> None:
    """Rules are read again a moment after they were asked to; the test's time limit is the deadline."""
    while True:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError as error:
            assert "password authentication failed" in str(error)
            return


@pytest.mark.postgres
@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_password(guarded: str, capsys: Capture, command: tuple[str, ...]) -> None:
    url = make_url(guarded).set(password=f"{PASSWORD}!").render_as_string(hide_password=False)
    assert "the user or the password is wrong" in said(capsys, url, *command)


@pytest.mark.postgres
def test_no_password(guarded: str, capsys: Capture) -> None:
    url = make_url(guarded)._replace(password=None).render_as_string(hide_password=False)
    assert "it requires a password" in said(capsys, url, "status")


@pytest.mark.postgres
@pytest.mark.parametrize("command", COMMANDS)
def test_a_missing_role_and_a_missing_database(
    postgres_server: str, capsys: Capture, command: tuple[str, ...]
) -> None:
    server = make_url(postgres_server)
    role = server.set(username="nobody_here", password=PASSWORD).render_as_string(hide_password=False)
    assert "the server has no such user" in said(capsys, role, *command)
    database = server.set(database="nowhere").render_as_string(hide_password=False)
    assert "create it first (createdb)" in said(capsys, database, *command)


@pytest.mark.postgres
def test_a_user_without_rights(guarded: str, postgres_server: str, capsys: Capture) -> None:
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute("CREATE DATABASE hpo_closed")
    try:
        url = make_url(guarded).set(database="hpo_closed").render_as_string(hide_password=False)
        assert "the user lacks the right" in said(capsys, url, "db", "upgrade")
    finally:
        with psycopg.connect(postgres_server, autocommit=True) as connection:
            connection.execute("DROP DATABASE hpo_closed WITH (FORCE)")


@pytest.mark.postgres
def test_with_debug_the_traceback_has_no_password_either(guarded: str, capsys: Capture) -> None:
    url = make_url(guarded).set(password=f"{PASSWORD}!").render_as_string(hide_password=False)
    assert run_command(["--debug", "status", "--storage", url]) == 1
    shown = capsys.readouterr()
    assert "Traceback" in shown.err
    assert PASSWORD not in shown.err + shown.out
