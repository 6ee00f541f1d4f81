"""Inspection of a user's training: its file without running it, and its function in a separate process."""

from __future__ import annotations

import ast
import importlib.machinery
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.errors import ConfigurationError
from hpo.redact import redact
from hpo.training.programs import find_program
from hpo.training.users_code import (
    STUDY_ATTRIBUTE,
    import_function,
    no_function,
    no_module,
    no_package,
    raised,
    refuse_foreign_training,
)

if TYPE_CHECKING:
    from hpo.config.study import StudySpec


def check_own_training(spec: StudySpec) -> None:
    """Raise ``ConfigurationError`` if the study's own training is not allowed here or cannot be found."""
    refuse_foreign_training(spec)
    if spec.trainer is not None:
        find_trainer(spec.trainer)
    elif spec.command is not None:
        find_program(spec.command[0])


def find_trainer(path: str) -> Path | None:
    """Find the file of a training ``package.module:function`` without running any code of it.

    None for a module that is not a Python file. Raises ``ConfigurationError`` if there is no such module, its
    file is not Python, or it has no such function.
    """
    file = find_module(path)
    if file is None:
        return None
    function = path.partition(":")[2]
    try:
        names = set(_names(ast.parse(file.read_bytes()).body))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        message = error.msg if isinstance(error, SyntaxError) else str(error) or "it is nested too deeply"
        raise ConfigurationError(f"trainer {path}: {file}{line} is not valid Python: {message}") from None
    except OSError as error:
        raise ConfigurationError(f"trainer {path}: {file} cannot be read: {error.strerror}") from None
    if function.partition(".")[0] not in names and not names & {"*", "__getattr__"}:
        raise ConfigurationError(no_function("trainer", path, names))
    return file


def find_module(path: str) -> Path | None:
    """Find the file of the module of ``package.module:function``; None if it is not a Python file.

    Raises ``ConfigurationError`` if there is no such module.
    """
    origin = _module_spec(path, path.partition(":")[0]).origin
    return Path(origin) if origin is not None and origin.endswith(".py") else None


def _module_spec(path: str, module_name: str) -> ModuleSpec:
    """Find a module as ``import`` does, without importing the packages that it is in."""
    here = str(Path.cwd())
    places: Sequence[str] | None = None
    name = ""
    for part in module_name.split("."):
        parent, name = name, f"{name}.{part}" if name else part
        found = _find(name, places)
        if found is None and places is None and here not in sys.path and "" not in sys.path:
            found = importlib.machinery.PathFinder.find_spec(name, [here])
        if places is not None and not places:
            found = getattr(sys.modules.get(name), "__spec__", None)  # such as os.path, which os puts there
            if found is None:
                raise ConfigurationError(no_package("trainer", path, parent, part))
        if found is None:
            raise ConfigurationError(no_module("trainer", path, name))
        spec, places = found, list(found.submodule_search_locations or ())
    return spec


def _find(name: str, places: Sequence[str] | None) -> ModuleSpec | None:
    finders = (each for each in sys.meta_path if hasattr(each, "find_spec"))
    return next((found for each in finders if (found := each.find_spec(name, places)) is not None), None)


def _names(body: Iterable[ast.stmt]) -> Iterator[str]:
    """Yield the names that statements of a module bind; ``*`` for an import of everything."""
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield statement.name
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            yield from ((each.asname or each.name.partition(".")[0]) for each in statement.names)
        else:
            for node in ast.walk(statement):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    yield node.id
            for part in ("body", "orelse", "finalbody"):
                yield from _names(getattr(statement, part, ()))
            for handler in getattr(statement, "handlers", ()):
                yield from _names(handler.body)


CHECK_SECONDS = 120.0
"""Time for the import of a user's training before `hpo check` gives up."""


@dataclass(frozen=True)
class CheckedTrainer:
    """What a separate process found when it imported a user's training.

    ``problem`` is empty if the training can be used.
    """

    problem: str
    file: str = ""
    line: int = 0
    signature: str = ""
    study: dict[str, Any] | None = None
    """The settings of its study, if the function is under ``@hpo.study``."""


def check_trainer(path: str, seconds: float = CHECK_SECONDS) -> CheckedTrainer:
    """Import a user's training in a separate process, and inspect its function.

    Never raises for its mistakes, not even one that ends the process. What the import prints goes to standard
    error.
    """
    command = [sys.executable, "-c", _CHILD, json.dumps([path, sys.path])]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return CheckedTrainer(f"trainer {path} was still being imported after {seconds:g} seconds")
    answer = done.stdout.decode("utf-8", "replace").rpartition(_MARK)[2]
    try:
        return CheckedTrainer(**json.loads(answer))
    except (ValueError, TypeError):
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
        return CheckedTrainer(f"trainer {path} ended its process when it was imported ({how})")


_MARK = "\x1ehpo "
_CHILD = (
    "import sys, json, os; path, places = json.loads(sys.argv[1]); sys.path[:] = places; "
    "answer = os.dup(1); os.dup2(2, 1); "
    "from hpo.training.users_trainer import answer_check; answer_check(path, answer)"
)


def answer_check(path: str, descriptor: int) -> None:
    """Write what `check_trainer` returns; runs in its process."""
    try:
        function = import_function("trainer", path)
        checked = _looked_at(path, function)
    except ConfigurationError as error:
        checked = CheckedTrainer(redact(str(error)))
    except KeyboardInterrupt as error:  # raised by the code itself: a Ctrl-C ends the command as well
        checked = CheckedTrainer(redact(raised("trainer", path, "when imported", error)))
    os.write(descriptor, (_MARK + json.dumps(asdict(checked))).encode())
    os._exit(0)  # whatever its threads and exit handlers do


_NOT_PLAIN: dict[str, Callable[[Any], bool]] = {
    "async": lambda called: inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called),
    "a generator": inspect.isgeneratorfunction,
    "a class": inspect.isclass,
}
"""Kinds of callables that do not train when they are called."""


def problem_of(path: str, function: Callable[..., Any]) -> str:
    """Return why a training cannot be called with a trial; empty if it can."""
    called = inspect.unwrap(function)
    kind = next((kind for kind, is_kind in _NOT_PLAIN.items() if is_kind(called)), None)
    if kind is not None:
        return f"trainer {path} is {kind}: calling it trains nothing; use a plain function"
    try:
        signature = inspect.signature(called)
    except (TypeError, ValueError):
        return ""
    try:
        signature.bind(None)
    except TypeError as error:
        name = path.rpartition(":")[2]
        method = f", outside of the class {name.rpartition('.')[0]}" if "." in name else ""
        return (
            f"trainer {path}{signature} cannot be called with one argument, the trial: {error}. "
            f"Write def {name.rpartition('.')[2]}(trial){method}"
        )
    return ""


def _looked_at(path: str, function: Callable[..., Any]) -> CheckedTrainer:
    problem = problem_of(path, function)
    called = inspect.unwrap(function)
    try:
        signature = str(inspect.signature(called))
    except (TypeError, ValueError):
        return CheckedTrainer(problem)
    code = getattr(called, "__code__", None)
    file, line = (code.co_filename, code.co_firstlineno) if code else ("", 0)
    study = getattr(function, STUDY_ATTRIBUTE, None)
    return CheckedTrainer(problem, file, line, signature, study)
