"""Writes the answers into docs/sql.md: runs each statement there on a database in which quickstart has run.

    hpo run quickstart
    python docs/make_sql.py [--storage sqlite:///hpo.db]

Adds the study `theirs` of the last question if it is not there, as a program that knows only Optuna would.
"""

from __future__ import annotations

import argparse
import io
import re
from pathlib import Path

import optuna

from hpo.cli.views.rows import write_table
from hpo.queries.sql import run_sql
from hpo.storage.optuna.storage import quiet_optuna

PAGE = Path(__file__).parent / "sql.md"
MOST_LINES = 14
_STATEMENT = re.compile(r"```sql\n(?P<sql>.*?)```\n(?:\n```text\n.*?```\n)?", re.DOTALL)
_THEIRS = "theirs"


def answered(page: str, url: str) -> str:
    """The page with each statement's answer below it."""
    return _STATEMENT.sub(
        lambda found: f"```sql\n{found['sql']}```\n\n```text\n{answer(url, found['sql'])}```\n", page
    )


def answer(url: str, sql: str) -> str:
    """The rows as `hpo query` prints them, the first few of many."""
    stream = io.StringIO()
    write_table(stream, *run_sql(url, sql))
    lines = stream.getvalue().splitlines()
    if len(lines) > MOST_LINES:
        lines[MOST_LINES - 1 :] = [f"... {len(lines) - MOST_LINES + 1} more"]
    return "".join(f"{line}\n" for line in lines)


def make_theirs(url: str) -> None:
    """A study of somebody else's program."""
    storage = optuna.storages.RDBStorage(url)
    if _THEIRS in optuna.get_all_study_names(storage):
        return
    losses = {"linear": 0.31, "rbf": 0.12, "poly": 0.2}
    study = optuna.create_study(study_name=_THEIRS, storage=storage, sampler=optuna.samplers.RandomSampler(0))
    study.optimize(
        lambda trial: (
            losses[trial.suggest_categorical("kernel", list(losses))] + trial.suggest_float("c", 0.0, 0.1)
        ),
        n_trials=20,
    )


def main() -> None:
    """Rewrite the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--storage", default="sqlite:///hpo.db")
    url = parser.parse_args().storage
    with quiet_optuna():
        make_theirs(url)
    PAGE.write_text(answered(PAGE.read_text(encoding="utf-8"), url), encoding="utf-8")


if __name__ == "__main__":
    main()
