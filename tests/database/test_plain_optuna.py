"""Databases in which hpo has never been: read as they are, changed only where asked to."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine, inspect, text

from hpo.cli.app import run_command
from hpo.storage.url import parse_url
from tests.helpers.optuna_study import make_theirs

ASSETS = Path(__file__).parents[1] / "upgrade_assets"
Capture = pytest.CaptureFixture[str]


@pytest.fixture(params=["optuna4", "optuna5"])
def theirs(request: pytest.FixtureRequest, empty_storage_url: str) -> str:
    """A study of Optuna's; 4's is a file that Optuna 4.9.0 wrote, for which PostgreSQL has no counterpart."""
    url = parse_url(empty_storage_url)
    if request.param == "optuna5":
        make_theirs(url.render_as_string(hide_password=False))
    elif url.drivername == "sqlite":
        Path(str(url.database)).write_bytes(gzip.decompress((ASSETS / "optuna4.sqlite.gz").read_bytes()))
    else:
        pytest.skip("Optuna 4's asset is an SQLite file")
    return empty_storage_url


def _everything(url: str) -> str:
    """All tables and rows, and on SQLite the file's bytes too."""
    engine = create_engine(parse_url(url), poolclass=NullPool)
    with engine.connect() as connection:
        found = inspect(connection)
        names = sorted([*found.get_table_names(), *found.get_view_names()])
        rows = {
            name: [str(tuple(row)) for row in connection.execute(text(f"SELECT * FROM {name}"))]
            for name in names
        }
    engine.dispose()
    path = parse_url(url).database if url.startswith("sqlite") else None
    return json.dumps(rows) + (hashlib.sha256(Path(path).read_bytes()).hexdigest() if path else "")


def _out(capsys: Capture, *command: str) -> str:
    capsys.readouterr()
    assert run_command(command) == 0, capsys.readouterr().err
    return capsys.readouterr().out


def test_status_lists_the_study_and_query_reads_its_parameters(theirs: str, capsys: Capture) -> None:
    before = _everything(theirs)
    row = _out(capsys, "status", "--storage", theirs).splitlines()[-1]
    assert row.split() == ["theirs", "–", "1", "7", "1", "1", "1"]
    (study,) = json.loads(_out(capsys, "status", "--json", "--storage", theirs))
    assert (study["made_by"], study["name"], study["complete"]) == ("optuna", "theirs", 7)
    sql = "SELECT param, value_text FROM params WHERE number = 0 ORDER BY param"
    rows = json.loads(_out(capsys, "query", "--format", "json", "--storage", theirs, sql))
    assert [row["param"] for row in rows] == ["dropout", "layers", "lr", "odd"]
    assert (rows[1]["value_text"], rows[3]["value_text"]) == ("3", "null")
    assert _everything(theirs) == before


@pytest.mark.parametrize("command", [("run", "quickstart"), ("show", "theirs", "0"), ("db", "check")])
def test_what_needs_hpos_tables_reports_how_to_get_them_and_adds_none(
    theirs: str, capsys: Capture, command: tuple[str, ...]
) -> None:
    before = _everything(theirs)
    assert run_command([*command, "--storage", theirs]) in (1, 2)
    said = capsys.readouterr().err
    assert "contains Optuna's studies" in said and "`hpo db upgrade`" in said
    assert _everything(theirs) == before


def test_an_upgrade_reports_what_it_does_and_keeps_optunas_rows(theirs: str, capsys: Capture) -> None:
    before = _everything(theirs)
    said = _out(capsys, "db", "upgrade", "--dry-run", "--storage", theirs)
    assert said.startswith("would: add hpo's tables and views") and "whose study stays unchanged" in said
    assert _everything(theirs) == before
    rows = json.loads(before[: before.rindex("}") + 1])
    assert _out(capsys, "db", "upgrade", "--storage", theirs).startswith("done: add hpo's tables")
    after = _everything(theirs)
    kept = json.loads(after[: after.rindex("}") + 1])
    assert {name: kept[name] for name in rows} == rows
    assert "is up to date" in _out(capsys, "db", "upgrade", "--storage", theirs)
    assert len(json.loads(_out(capsys, "status", "--json", "--storage", theirs))) == 1
    assert _out(capsys, "db", "check", "--storage", theirs).endswith("no problems\n")


def test_a_file_in_a_folder_that_cannot_be_written_is_read(tmp_path: Path, capsys: Capture) -> None:
    folder = tmp_path / "read-only"
    folder.mkdir()
    (folder / "theirs.db").write_bytes(gzip.decompress((ASSETS / "optuna4.sqlite.gz").read_bytes()))
    folder.chmod(0o500)
    try:
        assert "theirs" in _out(capsys, "status", "--storage", f"sqlite:///{folder / 'theirs.db'}")
        assert [path.name for path in folder.iterdir()] == ["theirs.db"]
    finally:
        folder.chmod(0o700)
        shutil.rmtree(folder)
