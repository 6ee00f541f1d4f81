"""The ``hpo`` program: its commands in groups, and what it does with errors.

Nothing heavy is imported here, so that ``hpo --help`` is quick: each command imports what it needs.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from functools import cache
from typing import Annotated, Any, NoReturn, TextIO, cast

import typer
from typer.core import TyperGroup

import hpo
from hpo.cli.commands.check import check
from hpo.cli.commands.dashboard import dashboard
from hpo.cli.commands.data import data
from hpo.cli.commands.db import db
from hpo.cli.commands.delete import delete
from hpo.cli.commands.doctor import doctor
from hpo.cli.commands.enqueue import enqueue
from hpo.cli.commands.evaluate import evaluate
from hpo.cli.commands.export import export
from hpo.cli.commands.importance import importance
from hpo.cli.commands.init import init
from hpo.cli.commands.logs import logs
from hpo.cli.commands.predict import predict
from hpo.cli.commands.query import query
from hpo.cli.commands.refine import refine
from hpo.cli.commands.repeat import repeat
from hpo.cli.commands.report import report
from hpo.cli.commands.run import RunCommand, run
from hpo.cli.commands.schema import schema
from hpo.cli.commands.show import show
from hpo.cli.commands.status import status
from hpo.cli.commands.stop import resume, stop
from hpo.cli.commands.studies import studies
from hpo.cli.commands.submit import submit
from hpo.cli.commands.transfer import export_study, import_study
from hpo.cli.commands.worker import worker
from hpo.cli.commands.workers import workers
from hpo.cli.options import refuse_searched_without_dashes, with_ray_address
from hpo.cli.output import READER_LEFT, OutputLostError, lost_output, standard_streams
from hpo.errors import HpoError, UserError
from hpo.limits import limit_threads
from hpo.redact import Redacted, holds_password

COMMANDS: dict[str, dict[str, Callable[..., None] | typer.Typer]] = {
    "Start a study": {
        "data": data,
        "init": init,
        "check": check,
        "run": run,
        "submit": submit,
        "worker": worker,
        "enqueue": enqueue,
    },
    "Look at results": {
        "studies": studies,
        "status": status,
        "show": show,
        "logs": logs,
        "workers": workers,
        "query": query,
        "dashboard": dashboard,
    },
    "Explain results": {
        "report": report,
        "importance": importance,
        "refine": refine,
    },
    "Use and share": {
        "test": evaluate,
        "repeat": repeat,
        "export": export,
        "predict": predict,
        "export-study": export_study,
        "import-study": import_study,
    },
    "Maintain": {
        "stop": stop,
        "resume": resume,
        "delete": delete,
        "db": db,
        "doctor": doctor,
        "schema": schema,
    },
}
"""Every command by its group, in the order of ``hpo --help``."""


class _GroupedCommands(TyperGroup):
    """``hpo --help`` with one section a group."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # Click's types, which Typer vendors or not
        """Write each command's first sentence, in one column over all sections."""
        width = max(map(len, self.commands))
        for group, names in COMMANDS.items():
            with formatter.section(group):
                formatter.write_dl(
                    [
                        (
                            f"{name:{width}}",
                            self.commands[name].get_short_help_str(formatter.width - width - 4),
                        )
                        for name in names
                    ]
                )


app = typer.Typer(
    name="hpo",
    cls=_GroupedCommands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
for name, command in (each for group in COMMANDS.values() for each in group.items()):
    if isinstance(command, typer.Typer):
        app.add_typer(command, name=name)
    else:
        app.command(name, cls=RunCommand if name == "run" else None)(command)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hpo {hpo.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Hyperparameter optimization for small image classifiers that explains why trials fail.

    `hpo COMMAND --help` explains a command. A first study: `hpo run quickstart`.
    """


@cache
def command_line() -> Any:
    """Return the commands as Typer reads them from their functions, read once per process."""
    return typer.main.get_command(app)


def main() -> NoReturn:
    """Run the ``hpo`` program."""
    limit_threads()
    with standard_streams() as streams:
        try:
            code = run_command(sys.argv[1:])
            code = code or _of_output(lost_output(streams))
        except OutputLostError as lost:
            code = _of_output(lost_output(streams) or lost)
        if any(thread.daemon for thread in threading.enumerate()):
            os._exit(code)  # Python's own shutdown aborts if a daemon thread is inside C++ code
    sys.exit(code)


def _of_output(lost: OutputLostError | None) -> int:
    """Return the exit code for what could not be written to the standard streams, and say so."""
    if lost is None:
        return 0
    if lost.exit_code != READER_LEFT:  # a reader that has seen enough is not an error
        _print_error(str(lost))
    return lost.exit_code


def run_command(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code: 0, 1 (failure), 2 (user error), 129, 130 or 143 (signals).

    Raises ``OutputLostError`` if a standard stream cannot be written.
    """
    arguments, debug = _without_debug(arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A terminal without Unicode shows question marks; files and programs get UTF-8 on any system.
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="replace")
    with contextlib.redirect_stderr(cast(TextIO, Redacted(sys.stderr))):
        if any(map(holds_password, arguments)):
            _warn_of_password()
        return _run(arguments, debug)


def _run(arguments: Sequence[str], debug: bool) -> int:
    try:
        refuse_searched_without_dashes(arguments)
        given = with_ray_address(arguments) if "--ray" in arguments else arguments
        command_line()(given, prog_name="hpo")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    except HpoError as error:
        if debug:
            traceback.print_exc()
        _print_error(str(error))
        return error.exit_code
    except OSError as error:
        if debug:
            traceback.print_exc()
        _print_system_error(error, debug)
        return 1
    except Exception as error:
        if debug:
            traceback.print_exc()
        if isinstance(error, UnicodeEncodeError) and error.object[error.start] in "".join(arguments):
            _print_error("the arguments are not UTF-8: only paths may hold other bytes")
            return UserError.exit_code
        _print_error(f"{type(error).__name__}: {error}", "" if debug else _UNEXPECTED)
        return 1
    return 0


_UNEXPECTED = "This should not happen. Run the command again with --debug to see the traceback."


def _without_debug(arguments: Sequence[str]) -> tuple[list[str], bool]:
    """Remove ``--debug``, which may be anywhere before ``--``; return the rest and whether it was there."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    kept = [argument for argument in arguments[:end] if argument != "--debug"]
    return [*kept, *arguments[end:]], len(kept) < end


def _warn_of_password() -> None:
    from hpo.cli.console import print_warning

    print_warning(
        "everyone on this machine can see a password in a command (ps): "
        "put the URL into $HPO_STORAGE, or the password into ~/.pgpass"
    )


def _print_system_error(error: OSError, debug: bool) -> None:
    from hpo.reporting.system_errors import explain_system_error

    explained = explain_system_error(error)
    if explained:
        _print_error(explained)
    else:
        _print_error(f"{type(error).__name__}: {error}", "" if debug else _UNEXPECTED)


def _print_error(message: str, hint: str = "") -> None:
    from hpo.cli.console import print_error

    with contextlib.suppress(OutputLostError):  # the exit code tells the same
        print_error(message, hint)
