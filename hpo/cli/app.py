"""``hpo``: the commands, and what becomes of errors. Heavy imports are left to each command."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import traceback
from collections.abc import Sequence
from typing import Annotated, NoReturn, TextIO, cast

import typer

import hpo
from hpo.cli.commands.check import check
from hpo.cli.commands.dashboard import dashboard
from hpo.cli.commands.db import db
from hpo.cli.commands.delete import delete
from hpo.cli.commands.doctor import doctor
from hpo.cli.commands.enqueue import enqueue
from hpo.cli.commands.evaluate import test
from hpo.cli.commands.export import export
from hpo.cli.commands.importance import importance
from hpo.cli.commands.init import init
from hpo.cli.commands.logs import logs
from hpo.cli.commands.predict import predict
from hpo.cli.commands.query import query
from hpo.cli.commands.refine import refine
from hpo.cli.commands.repeat import repeat
from hpo.cli.commands.report import report
from hpo.cli.commands.run import run
from hpo.cli.commands.schema import schema
from hpo.cli.commands.show import show
from hpo.cli.commands.status import status
from hpo.cli.commands.stop import resume, stop
from hpo.cli.commands.studies import studies
from hpo.cli.commands.submit import submit
from hpo.cli.commands.transfer import export_study, import_study
from hpo.cli.commands.worker import worker
from hpo.cli.commands.workers import workers
from hpo.cli.options import with_ray_address
from hpo.errors import HpoError
from hpo.redact import Redacted, holds_password

app = typer.Typer(
    name="hpo",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
for command in (
    init,
    run,
    submit,
    worker,
    enqueue,
    stop,
    resume,
    delete,
    check,
    status,
    studies,
    workers,
    show,
    logs,
    query,
    refine,
    test,
    repeat,
    export,
    predict,
    importance,
    report,
    dashboard,
    export_study,
    import_study,
    schema,
    doctor,
):
    app.command()(command)
app.add_typer(db)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hpo {hpo.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show where an error came from; may stand anywhere.")
    ] = False,
) -> None:
    """Hyperparameter optimization for small image classifiers that says why trials failed."""


def main() -> NoReturn:
    """The ``hpo`` program."""
    code = run_command(sys.argv[1:])
    if any(thread.daemon for thread in threading.enumerate()):
        _leave(code)
    sys.exit(code)


def _leave(code: int) -> NoReturn:
    """End the process as it is: Python's own end aborts it where a daemon thread is in C++ code."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more, or it is closed
            stream.flush()
    os._exit(code)


def run_command(arguments: Sequence[str]) -> int:
    """Run one command; its exit code: 0, 1 (failed), 2 (the user's mistake), 130 (Ctrl-C)."""
    arguments, debug = _without_debug(arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without Unicode shows ? for a sparkline
    with contextlib.redirect_stderr(cast(TextIO, Redacted(sys.stderr))):
        if any(map(holds_password, arguments)):
            _warn_of_password()
        return _run(arguments, debug)


def _run(arguments: Sequence[str], debug: bool) -> int:
    try:
        app(with_ray_address(arguments) if "--ray" in arguments else arguments, prog_name="hpo")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    except HpoError as error:
        if debug:
            traceback.print_exc()
        _say_error(str(error))
        return error.exit_code
    except Exception as error:
        if debug:
            traceback.print_exc()
        _say_error(f"{type(error).__name__}: {error}", "" if debug else _UNEXPECTED)
        return 1
    return 0


_UNEXPECTED = "This should not happen. Run the command again with --debug to see where it comes from."


def _without_debug(arguments: Sequence[str]) -> tuple[list[str], bool]:
    """``--debug`` is taken out wherever it stands before ``--``."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    kept = [argument for argument in arguments[:end] if argument != "--debug"]
    return [*kept, *arguments[end:]], len(kept) < end


def _warn_of_password() -> None:
    from hpo.cli.console import stderr

    warning = (
        "warning: a password in a command can be seen by everyone on this machine (ps): "
        "put the URL into $HPO_STORAGE, or the password into ~/.pgpass"
    )
    stderr().print(warning, style="yellow", soft_wrap=True)


def _say_error(message: str, hint: str = "") -> None:
    from hpo.cli.console import say_error

    say_error(message, hint)
