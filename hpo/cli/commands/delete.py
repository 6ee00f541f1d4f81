"""``hpo delete``: a study and everything of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from hpo.cli.options import Storage, storage_url

if TYPE_CHECKING:
    from hpo.maintenance.deletion import Deletable


def delete(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="The study's name.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also while workers hold trials of it: their work is lost.")
    ] = False,
    storage: Storage = None,
) -> None:
    """Remove a study: its rows, Optuna's study, its checkpoints and kept weights here. Asks first."""
    from hpo.cli.views.tables import results
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
    typer.echo(f"{study} is deleted")


def _ask(found: Deletable) -> None:
    from hpo.errors import UserError

    said = _what(found)
    if not sys.stdin.isatty():
        raise UserError(f"{said} would be deleted for good; nobody can be asked here: add --yes")
    if not typer.confirm(f"Delete {said} for good?"):
        raise typer.Exit(1)


def _what(found: Deletable) -> str:
    from hpo.reporting import formatting

    summary = found.summary
    best = "" if summary.best_value is None else f", best {formatting.accuracy(summary.best_value)}"
    files = f", and {found.bytes:,} bytes in {' and '.join(map(str, found.folders))}" if found.folders else ""
    return (
        f"{summary.name} with {formatting.count(summary.trials, 'trial')} ({summary.done} done{best}){files}"
    )
