"""Where text goes: results to stdout, everything about them to stderr."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.text import Text

from hpo.reporting.formatting import printable as printable

_UNWRAPPED = 10_000  # columns of a pipe or a file: lines there are for programs and grep


def stdout() -> Console:
    """The console for results."""
    return _console(stderr=False)


def stderr() -> Console:
    """The console for progress, hints and errors."""
    return _console(stderr=True)


def say_error(message: str, hint: str = "") -> None:
    """``error: ...`` in red on stderr."""
    console = stderr()
    console.print(Text.assemble(("error: ", "bold red"), printable(message)), soft_wrap=True)
    if hint:
        console.print(Text(f"  {hint}", "dim"), soft_wrap=True)


def _console(stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _UNWRAPPED
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, width=width)
