"""A password in $HPO_STORAGE appears nowhere: not in arguments, output, logs or the database."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine, inspect, make_url, text

from hpo.storage.url import parse_url
from tests.helpers.hpo_command import Hpo

SECRET = "Tr0ub4dor-and-3"
pytestmark = pytest.mark.postgres

TELLTALE = """
import os
from torch import nn

class Telltale(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(3 * 32 * 32, 10)

    def forward(self, images):
        if self.training and len(images) > 8:  # not when it is tried in small before
            raise ValueError("cannot reach " + os.environ["HPO_STORAGE"])
        return self.dense(images.flatten(1))

def build(options, *, in_shape, classes):
    return Telltale()
"""


@pytest.fixture
def secretive(hpo: Hpo, new_database: Any, tmp_path: Path) -> Hpo:
    """The command with a password in its storage; the test's server trusts anyone."""
    url = make_url(new_database("postgresql")).set(password=SECRET).render_as_string(hide_password=False)
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    return replace(hpo, environment=hpo.environment | {"HPO_STORAGE": url, "TMPDIR": str(temporary)})


def _everything_stored(url: str) -> str:
    engine = create_engine(parse_url(url), poolclass=NullPool)
    with engine.connect() as connection:
        tables = inspect(connection).get_table_names()
        rows = [
            str(tuple(row)) for table in tables for row in connection.execute(text(f"SELECT * FROM {table}"))
        ]
    engine.dispose()
    return "\n".join(rows)


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_password_is_in_no_argument_log_output_or_row(secretive: Hpo, tmp_path: Path) -> None:
    running = secretive.start("run", secretive.write_study(trials=2, epochs=3), "--workers", "2", "--json")
    running.wait_for("epoch_done")
    family = running.family()
    assert len(family) >= 3
    for process in family:
        assert SECRET not in " ".join(process.cmdline())
        assert SECRET not in process.name()
    logs = [path for path in (tmp_path / "tmp").rglob("*") if path.is_file()]
    assert [path for path in logs if SECRET.encode() in path.read_bytes()] == []
    output, errors = running.process.communicate()
    assert running.process.returncode == 0, errors
    assert SECRET not in output + errors
    assert SECRET not in _everything_stored(secretive.environment["HPO_STORAGE"])


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_failed_trial_is_stored_without_the_password(secretive: Hpo) -> None:
    (secretive.folder / "nets.py").write_text(TELLTALE)
    done = secretive(
        "run", secretive.write_study(trials=1), "--set", "model=nets:build", "--set", "checks=off"
    )
    assert SECRET not in done.stdout + done.stderr
    assert done.returncode == 3
    error, command = done.stdout.splitlines()[-2:]
    assert error.startswith("1 trial failed  error: ") and command == "  hpo show tiny 0   its traceback"
    (row,) = secretive.rows("SELECT state, verdict FROM results")
    assert row["state"] == "failed"
    assert "cannot reach postgresql://" in row["verdict"] and ":***@" in row["verdict"]
    stored = _everything_stored(secretive.environment["HPO_STORAGE"])
    assert "in forward" in stored
    assert SECRET not in stored
    assert SECRET not in secretive("show", "tiny", "0").stdout


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
def test_exported_study_has_no_password(secretive: Hpo, tmp_path: Path) -> None:
    assert secretive("run", secretive.write_study(trials=1, epochs=1)).returncode == 0
    done = secretive("export-study", "tiny", "-o", "tiny.zip")
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(secretive.folder / "tiny.zip") as opened:
        assert "manifest.json" in opened.namelist()
        assert [name for name in opened.namelist() if SECRET.encode() in opened.read(name)] == []
