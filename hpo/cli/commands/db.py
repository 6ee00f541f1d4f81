"""``hpo db``: upkeep of the database and of what hpo keeps on this machine."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpo.cli.options import Json, Storage, storage_url

if TYPE_CHECKING:
    from hpo.maintenance.check import Problem
    from hpo.maintenance.prune import Removable

db = typer.Typer(
    name="db", no_args_is_help=True, help="Upgrade, check and back up the database; remove what is left over."
)


@db.command()
def upgrade(
    storage: Storage = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    as_json: Json = False,
) -> None:
    """Bring the database up to this hpo's schema; everything in it is kept.

    In a database of Optuna's alone it adds hpo's tables and views beside Optuna's, which stay as they are.
    """
    from hpo.cli.views.lines import to_json
    from hpo.cli.views.upgrade import plan
    from hpo.storage import schema
    from hpo.storage.revision import HEAD

    url = storage_url(storage)
    before = schema.inspect_schema(url)
    planned = plan(url, before)
    if not dry_run:
        schema.upgrade(url, adopt=True)
    if as_json:
        changed = not (dry_run or before.current)
        typer.echo(to_json({"from": before.revision, "to": HEAD, "changed": changed, "plan": planned}))
    else:
        _say(planned if before.current else f"{'would' if dry_run else 'done'}: {planned}")


@db.command()
def check(
    repair: Annotated[
        bool, typer.Option("--repair", help="Put right what can be without losing anything.")
    ] = False,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Look for what is wrong in the database. The exit code is 1 if a problem remains."""
    from dataclasses import asdict

    from hpo.cli.views.lines import to_json
    from hpo.maintenance.check import CHECKS, check_database

    problems = check_database(storage_url(storage), repair=repair)
    remaining = [problem for problem in problems if not (problem.repaired or problem.only_a_note)]
    if as_json:
        typer.echo(to_json({"checks": list(CHECKS), "problems": [asdict(problem) for problem in problems]}))
    else:
        for problem in problems:
            _say(_line(problem))
        _say(_verdict(len(CHECKS), problems, remaining, repair))
    raise typer.Exit(1 if remaining else 0)


@db.command()
def backup(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Where to; an earlier backup is replaced.")
    ],
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Copy an SQLite database while it is in use; for PostgreSQL, say how it is done there."""
    from hpo.cli.views.lines import to_json
    from hpo.data.progress import progress_bar
    from hpo.maintenance.backup import back_up

    with ExitStack() as stack:
        begin = partial(progress_bar, f"backing up to {output}", total=100)
        done = back_up(storage_url(storage), output, _in_percent(lambda: stack.enter_context(begin())))
    if as_json:
        typer.echo(to_json({"file": str(done.path), "bytes": done.bytes}))
    else:
        _say(
            f"{done.path}  {done.bytes:,} bytes, checked. To restore it: stop all workers, then copy it back"
        )


@db.command()
def prune(
    days: Annotated[
        float, typer.Option(min=0, metavar="N", help="Remove what was not used for so many days.")
    ] = 30.0,
    delete: Annotated[bool, typer.Option("--delete", help="Remove it; without this, only list it.")] = False,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Remove what nothing needs: idle caches, leftovers of killed processes, what deleted studies left.

    It only lists what would go, until --delete says to do it. Caches are made again when they are needed.
    """
    from dataclasses import asdict

    from hpo.cli.views.lines import to_json
    from hpo.maintenance import prune as pruning

    url = storage_url(storage)
    rows, weights = _of_database(url)
    files = [*pruning.find_files(days), *weights]
    if delete:
        freed = pruning.remove_files(files)
        if rows:
            pruning.remove_rows(url)
    if as_json:
        found = [{**asdict(each), "path": each.path and str(each.path)} for each in (*files, *rows)]
        typer.echo(to_json({"removed": delete, "found": found}))
        return
    for each in (*files, *rows):
        _say(_removable(each))
    if not (files or rows):
        _say("nothing to remove")
    elif delete:
        _say(f"removed; {_size(freed)} on disk are free again")
    else:
        _say(f"nothing was removed: `hpo db prune --delete` frees {_size(sum(each.bytes for each in files))}")


@db.command()
def roles(
    apply: Annotated[
        bool, typer.Option("--apply", help="Run it, as the owner of hpo's tables, instead of printing it.")
    ] = False,
    logins: Annotated[
        list[str] | None,
        typer.Option(
            "--login",
            metavar="ROLE=FILE",
            help="With --apply: let it log in with the password in the file's first line. Repeat it.",
        ),
    ] = None,
    storage: Storage = None,
) -> None:
    """Print the SQL that makes PostgreSQL roles for viewers, workers and those who submit studies.

    Tables are then changed by their owner alone, and no worker can change a study. It may be run again at any
    time; `hpo db upgrade` keeps the roles up to date.
    """
    from hpo.cli.views.roles import as_script, read_logins
    from hpo.errors import UserError
    from hpo.storage.roles import ROLES
    from hpo.storage.roles import apply as apply_roles

    passwords = read_logins(logins or [])
    if apply:
        apply_roles(storage_url(storage), passwords)
        for role, purpose in ROLES.items():
            _say(f"{role}  {purpose}{', with a login of its own' if role in passwords else ''}")
    elif passwords:
        raise UserError("--login needs --apply: a password is not printed")
    else:
        typer.echo(as_script())


def _of_database(url: str) -> tuple[list[Removable], list[Removable]]:
    """Rows, and kept weights, that may go. Caches can be pruned where there is no database."""
    from hpo.maintenance.prune import find_rows, find_weights
    from hpo.storage.schema import inspect_schema

    return (find_rows(url), find_weights(url)) if inspect_schema(url).revision else ([], [])


def _line(problem: Problem) -> str:
    place = " ".join(
        part
        for part in (problem.study or "", "" if problem.number is None else f"trial {problem.number}")
        if part
    )
    sign = "note" if problem.only_a_note else "repaired" if problem.repaired else "problem"
    where = f"{place}: " if place else ""
    return f"{sign}  {problem.check}  {where}{problem.message} ({problem.remedy})"


def _verdict(checks: int, problems: list[Problem], remaining: list[Problem], repair: bool) -> str:
    from hpo.reporting import formatting

    if not problems:
        return f"{formatting.count(checks, 'check')}, all is well"
    repaired = sum(problem.repaired for problem in problems)
    said = f"{formatting.count(checks, 'check')}, {formatting.count(len(remaining), 'problem')}"
    said += f", {repaired} repaired" if repaired else ""
    if not repair and any(problem.repairable for problem in remaining):
        said += "; `hpo db check --repair` puts right what can be (back up first: `hpo db backup`)"
    return said


def _removable(each: Removable) -> str:
    idle = "" if each.idle_days is None else f", idle for {each.idle_days:.0f} days"
    size = _size(each.bytes) if each.bytes else ""
    where = f"  {each.path}" if each.path else ""
    return f"{each.kind}  {each.what}{where}  {size}{idle}".rstrip()


def _size(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 100_000 else f"{size:,} bytes"


def _in_percent(begin: Callable[[], Callable[[int], None]]) -> Callable[[int, int], None]:
    """Shows pages copied as a percentage, from the first one on."""
    advance: Callable[[int], None] | None = None
    shown = 0

    def tell(done: int, total: int) -> None:
        nonlocal advance, shown
        advance = advance or begin()
        percent = 100 * done // max(1, total)
        advance(percent - shown)
        shown = percent

    return tell


def _say(line: str) -> None:
    from hpo.cli.console import printable, stdout

    stdout().print(printable(line), soft_wrap=True)
