"""``hpo db``: maintain the database and the files that hpo keeps on this machine."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpo.cli.options import Json, Storage, storage_url
from hpo.text import counted

if TYPE_CHECKING:
    from hpo.maintenance.check import Damage
    from hpo.maintenance.prune import Removable

db = typer.Typer(name="db", no_args_is_help=True, help="Upgrade, check, back up and clean the database.")


@db.command()
def upgrade(
    storage: Storage = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be done.")] = False,
    as_json: Json = False,
) -> None:
    """Upgrade the database to this version's schema, keeping all data.

    In a database that only Optuna has used, it adds hpo's tables and views and leaves Optuna's unchanged.
    """
    from hpo.cli.console import print_json, print_line
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
        print_json({"from": before.revision, "to": HEAD, "changed": changed, "plan": planned})
    else:
        print_line(planned if before.current else f"{'would' if dry_run else 'done'}: {planned}")


@db.command()
def check(
    repair: Annotated[
        bool, typer.Option("--repair", help="Repair what can be repaired without losing data.")
    ] = False,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Check the database for inconsistent or damaged data.

    The exit code is 1 if a problem remains. `hpo check` checks a study's configuration, `hpo doctor` this
    machine.
    """
    from dataclasses import asdict

    from hpo.cli.console import print_json, print_line
    from hpo.maintenance.check import CHECKS, check_database

    problems = check_database(storage_url(storage), repair=repair)
    remaining = [problem for problem in problems if not (problem.repaired or problem.only_a_note)]
    if as_json:
        print_json({"checks": list(CHECKS), "problems": [asdict(problem) for problem in problems]})
    else:
        for problem in problems:
            print_line(_line(problem))
        print_line(_verdict(len(CHECKS), problems, remaining, repair))
    raise typer.Exit(1 if remaining else 0)


@db.command()
def backup(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The backup; an earlier one is replaced.")
    ],
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Back up an SQLite database while it is in use.

    For PostgreSQL it names the command that does it.
    """
    from hpo.cli.console import print_json, print_line
    from hpo.data.progress import progress_bar
    from hpo.maintenance.backup import back_up

    with ExitStack() as stack:
        begin = partial(progress_bar, f"backing up to {output}", total=100)
        done = back_up(storage_url(storage), output, _in_percent(lambda: stack.enter_context(begin())))
    if as_json:
        print_json({"file": str(done.path), "bytes": done.bytes})
    else:
        print_line(
            f"{done.path}  {counted(done.bytes, 'byte')}, verified. To restore it: stop all "
            "workers, then copy it back"
        )


@db.command()
def prune(
    days: Annotated[
        float, typer.Option(min=0, metavar="N", help="Remove what has not been used for N days.")
    ] = 30.0,
    delete: Annotated[bool, typer.Option("--delete", help="Remove it instead of listing it.")] = False,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """List or remove unused caches and leftover files.

    These are idle caches, files of killed processes, and what deleted studies left behind. Only --delete
    removes anything. Caches are rebuilt when they are needed.
    """
    from dataclasses import asdict

    from hpo.cli.console import print_json, print_line
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
        print_json({"removed": delete, "found": found})
        return
    for each in (*files, *rows):
        print_line(_removable(each))
    if not (files or rows):
        print_line("nothing to remove")
    elif delete:
        print_line(f"removed; freed {_size(freed)} on disk")
    else:
        print_line(
            f"removed nothing: `hpo db prune --delete` frees {_size(sum(each.bytes for each in files))}"
        )


@db.command()
def roles(
    apply: Annotated[
        bool,
        typer.Option("--apply", help="Run the SQL as the owner of hpo's tables."),
    ] = False,
    logins: Annotated[
        list[str] | None,
        typer.Option(
            "--login",
            metavar="ROLE=FILE",
            help="With --apply: let ROLE log in with the password in FILE's first line. Can be repeated.",
        ),
    ] = None,
    storage: Storage = None,
) -> None:
    """Print or run the SQL that creates the PostgreSQL roles.

    The roles are for viewers, workers and people who submit studies. Only the owner can then change tables,
    and no worker can change a study. It can be run again at any time; `hpo db upgrade` keeps the roles up to
    date.
    """
    from hpo.cli.console import print_line
    from hpo.cli.views.roles import as_script, read_logins
    from hpo.errors import UserError
    from hpo.storage.roles import ROLES
    from hpo.storage.roles import apply as apply_roles

    passwords = read_logins(logins or [])
    if apply:
        apply_roles(storage_url(storage), passwords)
        for role, purpose in ROLES.items():
            print_line(f"{role}  {purpose}{', with its own login' if role in passwords else ''}")
    elif passwords:
        raise UserError("--login needs --apply: a password is not printed")
    else:
        typer.echo(as_script())


def _of_database(url: str) -> tuple[list[Removable], list[Removable]]:
    """Return removable rows and kept weights: none without a database, where caches can still be pruned."""
    from hpo.maintenance.prune import find_rows, find_weights
    from hpo.storage.schema import inspect_schema

    return (find_rows(url), find_weights(url)) if inspect_schema(url).revision else ([], [])


def _line(problem: Damage) -> str:
    place = " ".join(
        part
        for part in (problem.study or "", "" if problem.number is None else f"trial {problem.number}")
        if part
    )
    sign = "note" if problem.only_a_note else "repaired" if problem.repaired else "problem"
    where = f"{place}: " if place else ""
    return f"{sign}  {problem.check}  {where}{problem.message} ({problem.remedy})"


def _verdict(checks: int, problems: list[Damage], remaining: list[Damage], repair: bool) -> str:
    from hpo.reporting import formatting

    if not problems:
        return f"{formatting.counted(checks, 'check')}, no problems"
    repaired = sum(problem.repaired for problem in problems)
    summary = f"{formatting.counted(checks, 'check')}, {formatting.counted(len(remaining), 'problem')}"
    summary += f", {repaired} repaired" if repaired else ""
    if not repair and any(problem.repairable for problem in remaining):
        summary += "; `hpo db check --repair` repairs what it can (back up first: `hpo db backup`)"
    return summary


def _removable(each: Removable) -> str:
    idle = "" if each.idle_days is None else f", idle for {counted(round(each.idle_days), 'day')}"
    size = _size(each.bytes) if each.bytes else ""
    where = f"  {each.path}" if each.path else ""
    return f"{each.kind}  {each.what}{where}  {size}{idle}".rstrip()


def _size(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 100_000 else counted(size, "byte")


def _in_percent(begin: Callable[[], Callable[[int], None]]) -> Callable[[int, int], None]:
    """Return a callback that shows the pages copied as a percentage, from the first page on."""
    advance: Callable[[int], None] | None = None
    shown = 0

    def show(done: int, total: int) -> None:
        nonlocal advance, shown
        advance = advance or begin()
        percent = 100 * done // max(1, total)
        advance(percent - shown)
        shown = percent

    return show
