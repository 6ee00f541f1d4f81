"""Optuna's storage on our database; tests/database has its writes inside our transactions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from sqlalchemy import NullPool, create_engine, text

from hpo.storage import schema
from hpo.storage.engine import open_engine, writing
from hpo.storage.optuna.storage import open_optuna_storage, optuna_within
from hpo.storage.url import parse_url


@pytest.mark.parametrize("name", ["a b.db", "{a} {{b}.db", "a%d.db", "ä'\".db"])
def test_any_path_will_do(tmp_path: Path, name: str) -> None:
    url = f"sqlite:///{tmp_path / name}"
    schema.upgrade(url)
    storage = open_optuna_storage(url)
    study = optuna.create_study(study_name="s", storage=storage)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    engine = create_engine(parse_url(url), poolclass=NullPool)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM params")) == 1


def test_storage_enforces_foreign_keys_on_dashboard_deletions(
    tmp_path: Path,
) -> None:
    (tmp_path / "hpo.db").touch()
    storage = open_optuna_storage(f"sqlite:///{tmp_path / 'hpo.db'}")
    with storage._backend.engine.connect() as connection:  # type: ignore[attr-defined]
        assert connection.scalar(text("PRAGMA foreign_keys")) == 1
        assert connection.scalar(text("PRAGMA journal_mode")) == "wal"


def test_a_transaction_that_optuna_rolled_back_takes_no_further_write(tmp_path: Path) -> None:
    """Optuna swallows some errors; what we write beside it must not be committed without it."""
    url = f"sqlite:///{tmp_path / 'hpo.db'}"
    schema.upgrade(url)
    engine = open_engine(url)
    with pytest.raises(Exception, match="closed transaction"), writing(engine) as connection:
        with optuna_within(connection) as storage:
            session = storage.scoped_session()
            session.execute(text("SELECT 1"))
            session.rollback()
        connection.execute(text("INSERT INTO hpo_schema VALUES ('a', 'b')"))
    engine.dispose()


def test_quiet_optuna_logs_nothing_and_sets_its_level_back(tmp_path: Path) -> None:
    (tmp_path / "hpo.db").touch()
    code = (
        "import optuna; from hpo.storage.optuna.storage import open_optuna_storage, quiet_optuna\n"
        "before = optuna.logging.get_verbosity()\n"
        "with quiet_optuna():\n"
        f"    optuna.create_study(storage=open_optuna_storage('sqlite:///{tmp_path / 'hpo.db'}'))\n"
        "assert optuna.logging.get_verbosity() == before == optuna.logging.INFO"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
