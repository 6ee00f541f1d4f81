"""The program of a command: where it is, and why it cannot be started."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from hpo.errors import ConfigurationError

_BEGINNING = 1024
_INTERPRETERS = {".py": "python", ".sh": "sh", ".r": "Rscript", ".jl": "julia", ".js": "node", ".pl": "perl"}


def find_program(name: str) -> str:
    """Return the path of a command's program.

    Raises ``ConfigurationError`` if there is none of that name, or one that the system cannot start.
    """
    program = shutil.which(name)
    problem = _not_found(name) if program is None else _not_startable(name, Path(program))
    if program is None or problem:
        raise ConfigurationError(f"command {name}: {problem}")
    return program


def not_started(name: str, error: OSError) -> str:
    """Return why a program could not be started, after the system has said so."""
    try:
        find_program(name)
    except ConfigurationError as problem:
        return str(problem)
    return f"command {name} cannot be started: {error.strerror or error}"


def _not_found(name: str) -> str:
    file = Path(name)
    started = _INTERPRETERS.get(file.suffix.lower())
    if os.sep not in name:
        instead = f"{started} {name}" if started else f"./{name}"
        here = f"; for the file in {Path.cwd()} write {instead}" if file.is_file() else ""
        return f"there is no such program in the folders of $PATH{here}"
    if file.is_dir():
        return f"{file.resolve()} is a folder, not a program"
    if file.is_file():
        instead = f", or write {started} {name}" if started else ""
        return f"the file is not executable: chmod +x {name}{instead}"
    return f"there is no file {Path.cwd() / file}"


def _not_startable(name: str, file: Path) -> str:
    """Return why the system cannot start an executable script; empty for programs and sound scripts."""
    try:
        with file.open("rb") as content:
            beginning = content.read(_BEGINNING)
    except OSError:  # that it may be executed does not mean that it may be read
        return ""
    if not beginning.startswith(b"#!"):
        started = _INTERPRETERS.get(file.suffix.lower(), "sh")
        instead = f"it has no first line such as #!/bin/sh: add one, or write {started} {name}"
        return "" if b"\0" in beginning else instead
    interpreter = os.fsdecode(beginning[2:].partition(b"\n")[0].lstrip(b" \t").partition(b" ")[0])
    if interpreter.endswith("\r"):
        return "its lines end as on Windows, so that its first one names no interpreter: run dos2unix"
    if interpreter.startswith("/") and not os.access(interpreter, os.X_OK):
        return f"its first line names the interpreter {interpreter}, which cannot be executed here"
    return ""
