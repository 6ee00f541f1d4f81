"""``hpo delete``: remove a study and everything it stored."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from hpo.cli.options import Storage, StudyName, storage_url
from hpo.text import counted

if TYPE_CHECKING:
    from hpo.maintenance.deletion import Deletable


def delete(
    study: StudyName,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Delete it even while workers train it: their work is lost.")
    ] = False,
    storage: Storage = None,
) -> None:
    """Delete a study with everything it stored.

    That is its rows, Optuna's study, and its checkpoints and kept weights on this machine. Asks first.
    """
    from hpo.cli.database import results
    from hpo.maintenance.deletion import delete_study, find_deletable, refuse_held
    from hpo.storage.store import ResultsStore

    url = storage_url(storage)
    with results(url) as engine:
        found = find_deletable(engine, study)
    refuse_held(found, force=force)
    if not yes:
        _ask(found)
    with ResultsStore(url) as store:
        delete_study(store, found, force=force)
    typer.echo(f"deleted {study}")


def _ask(found: Deletable) -> None:
    from hpo.errors import UserError

    contents = _contents(found)
    if not sys.stdin.isatty():
        raise UserError(f"this permanently deletes {contents}; without a terminal to confirm, add --yes")
    if not typer.confirm(f"Permanently delete {contents}?"):
        raise typer.Exit(1)


def _contents(found: Deletable) -> str:
    from hpo.reporting import formatting

    summary = found.summary
    best = "" if summary.best_value is None else f", best {summary.best_text}"
    files = (
        f", and {counted(found.bytes, 'byte')} in {' and '.join(map(str, found.folders))}"
        if found.folders
        else ""
    )
    return (
        f"{summary.name} with {formatting.counted(summary.trials, 'trial')} ({summary.done} "
        f"done{best}){files}"
    )
