"""Print to the two streams: results to stdout, everything about them to stderr."""

from __future__ import annotations

import json
import math
import sys
from io import TextIOWrapper
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

from hpo.text import printable as printable

_PIPE_COLUMNS = 10_000  # lines in a pipe or a file are for programs and grep: never wrap them


def stdout() -> Console:
    """Return the console for results."""
    return _console(stderr=False)


def stderr() -> Console:
    """Return the console for progress, hints and errors."""
    return _console(stderr=True)


def data_output() -> TextIO:
    """Return standard output for data, which are UTF-8 whatever the terminal's encoding."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")
    return sys.stdout


def print_line(text: str) -> None:
    """Print one line on stdout, without control characters and never wrapped."""
    stdout().print(printable(text), soft_wrap=True)


def print_title(console: Console, text: str) -> None:
    """Print the title of a section of a page, after an empty line."""
    console.print()
    console.print(Text(text, "bold"))


def print_json(value: Any) -> None:
    """Print indented JSON on stdout."""
    data_output().write(f"{to_json(value)}\n")


def print_warning(message: str) -> None:
    """Print ``warning: ...`` in yellow on stderr."""
    stderr().print(f"warning: {printable(message)}", style="yellow", soft_wrap=True)


def print_error(message: str, hint: str = "") -> None:
    """Print ``error: ...`` in red on stderr, and a hint below it."""
    console = stderr()
    console.print(Text.assemble(("error: ", "bold red"), printable(message)), soft_wrap=True)
    if hint:
        console.print(Text(f"  {hint}", "dim"), soft_wrap=True)


def to_json(value: Any) -> str:
    """Return indented JSON: NaN and infinity become null, times become text."""
    return json.dumps(finite(value), indent=2, ensure_ascii=False, default=str)


def finite(value: Any) -> Any:
    """Return the value with None in place of NaN and infinity, which JSON cannot write."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _console(stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _PIPE_COLUMNS
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, width=width)
