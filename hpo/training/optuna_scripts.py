"""The file of an objective that is written for Optuna: what it says of its study, and how it is imported."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from hpo.errors import ConfigurationError
from hpo.training.import_hook import Execute, ImportHook

ONLY_HPO_TRIAL = frozenset(
    {"artifact", "babysit", "budget", "check", "data_share", "device", "end_epoch", "epochs", "fold", "folds"}
    | {"keep", "log", "minutes_left", "parameters", "restore", "save", "seed", "stage", "step", "steps"}
    | {"follow", "thresholds"}
)
"""What ``hpo.Trial`` has, and ``optuna.Trial`` has not."""
HOW_TO_GET_IT = (
    "for an hpo.Trial write @hpo.study(space={...}, trials=50) above the function, or name it as trainer: in "
    "a study file without interface: optuna"
)


def refuse_hpo_trial(file: Path, function: str) -> None:
    """Raise ``ConfigurationError`` if a function uses its argument as an ``hpo.Trial``, and draws nothing."""
    body = ast.parse(file.read_bytes()).body
    for found in body:
        if isinstance(found, ast.FunctionDef) and found.name == function and found.args.args:
            uses = list(_uses(found, found.args.args[0].arg))
            if uses and not any(".suggest_" in name for name, _ in uses):
                name, line = uses[0]
                raise ConfigurationError(
                    f"{file}:{function} would be given an optuna.Trial, but {name} (line {line}) is of "
                    f"hpo.Trial: {HOW_TO_GET_IT}"
                )


def _uses(function: ast.FunctionDef, trial: str) -> Iterator[tuple[str, int]]:
    """Yield uses of the trial that only ``hpo.Trial`` has, and draws as ``optuna.Trial`` has them."""

    def is_trial(node: ast.AST) -> bool:
        return isinstance(node, ast.Name) and node.id == trial

    if any(
        is_trial(node) and isinstance(getattr(node, "ctx", None), ast.Store) for node in ast.walk(function)
    ):
        return  # the name stands for something else, too
    for node in ast.walk(function):
        if isinstance(node, ast.Attribute) and is_trial(node.value):
            if node.attr in ONLY_HPO_TRIAL or node.attr.startswith("suggest_"):
                yield f"{trial}.{node.attr}", node.lineno
        elif isinstance(node, ast.Subscript) and is_trial(node.value):
            yield f"{trial}[{ast.unparse(node.slice)}]", node.lineno


def objective_document(file: Path, path: str, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Return the study file of an objective, with Optuna's defaults: TPE, the median rule, minimize.

    The direction and the number of trials are those of ``create_study`` and ``optimize`` in its file, if they
    are constants there. Raises ``ConfigurationError`` for several objectives, and for a direction that only
    running the file tells, unless ``overrides`` set it.
    """
    calls = list(_calls(ast.parse(file.read_bytes())))
    document = {
        "study": f"{file.stem}.{path.partition(':')[2]}",
        "trainer": path,
        "interface": "optuna",
        "objective": "value",
        "direction": _direction(file, calls, overrides),
        "sampler": "tpe",
        "pruner": "median",
    }
    trials = {each.value for each in _arguments(calls, "optimize", "n_trials") if _is_number(each)}
    return document | ({"trials": trials.pop()} if len(trials) == 1 else {})


def _is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int) and node.value > 0


def _direction(file: Path, calls: Sequence[ast.Call], overrides: Sequence[str]) -> str:
    for several in _arguments(calls, "create_study", "directions"):
        if not isinstance(several, ast.List | ast.Tuple) or len(several.elts) != 1:
            line = f"{file}, line {several.lineno}"
            raise ConfigurationError(f"{line}: hpo optimizes one objective, and this study has `directions`")
    given = _arguments(calls, "create_study", "direction")
    given += [each.elts[0] for each in _arguments(calls, "create_study", "directions")]
    named = {_name(each) for each in given}
    if not named:
        return "minimize"
    if len(named) == 1 and named <= {"maximize", "minimize"}:
        return str(named.pop())
    if any(each.startswith("direction=") for each in overrides):
        return "minimize"
    line = f"{file}, line {given[0].lineno}"
    raise ConfigurationError(
        f"{line}: the direction of the study is not known: add --set direction=maximize or "
        "--set direction=minimize"
    )


def _name(node: ast.expr) -> str | None:
    """Return ``maximize`` for that text and for ``StudyDirection.MAXIMIZE``; None for anything else."""
    if isinstance(node, ast.Attribute):
        return node.attr.lower()
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _calls(module: ast.Module) -> Iterator[ast.Call]:
    return (each for each in ast.walk(module) if isinstance(each, ast.Call))


def _arguments(calls: Sequence[ast.Call], function: str, name: str) -> list[Any]:
    """Return the values of an argument in all calls of a function or method of this name."""
    place = {"optimize": 1}.get(function)
    found = []
    for call in calls:
        if getattr(call.func, "attr", getattr(call.func, "id", "")) != function:
            continue
        found += [each.value for each in call.keywords if each.arg == name]
        if place is not None and len(call.args) > place:
            found.append(call.args[place])
    return found


@contextmanager
def until_optimize(module_name: str) -> Iterator[None]:
    """Import this module, if it is imported now, only up to a call of Optuna's ``study.optimize``.

    Many files have it at their end without ``if __name__ == "__main__":``; each worker would optimize there
    on its own. Studies that the file creates are in memory.
    """
    hook = ImportHook(module_name, _until_optimize)
    sys.meta_path.insert(0, hook)
    try:
        yield
    finally:
        sys.meta_path.remove(hook)


def _until_optimize(spec: ModuleSpec, execute: Execute) -> Execute:
    return _stopped(execute) if spec.origin is not None and _optimizes(Path(spec.origin)) else execute


class _OptimizeError(BaseException):
    """Ends the execution of a module."""


def _stopped(execute: Execute) -> Execute:
    def exec_module(module: ModuleType) -> None:
        from unittest.mock import patch

        import optuna

        create = optuna.create_study

        def in_memory(**arguments: Any) -> optuna.Study:
            return create(**{**arguments, "storage": None})

        with (
            patch.object(optuna.Study, "optimize", _stop),
            patch.object(optuna, "create_study", in_memory),
            patch.object(optuna.study, "create_study", in_memory),
            suppress(_OptimizeError),
        ):
            execute(module)

    return exec_module


def _stop(*arguments: Any, **named: Any) -> NoReturn:
    raise _OptimizeError


def _optimizes(file: Path) -> bool:
    """Return whether a file imports Optuna and calls ``optimize``."""
    try:
        module = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return "optuna" in _imported(module) and any(
        getattr(each.func, "attr", "") == "optimize" for each in _calls(module)
    )


def _imported(module: ast.Module) -> Iterator[str]:
    for each in ast.walk(module):
        if isinstance(each, ast.Import):
            yield from (name.name.partition(".")[0] for name in each.names)
        elif isinstance(each, ast.ImportFrom):
            yield (each.module or "").partition(".")[0]
